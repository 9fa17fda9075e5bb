import ExamplesShared
import MQLock

/// Compares the journals with the topic: every movement is applied once and in order, none is missing, no line has a
/// token smaller than that of the line before, and the stock of every article is the sum of its movements.
struct Audit {
    private(set) var movements = 0
    private(set) var missing = 0
    private(set) var complaints: [String] = []
    private var stock: [String: Int] = [:]
    private var expected: [String: Int] = [:]

    /// - Parameter written: the content of the topic's partition of that number.
    mutating func add(_ lines: [Journal.Line], shard: Int, written: [Entry]) {
        movements += written.count
        for entry in written { expected[entry.movement.article, default: 0] += entry.movement.delta }
        var highest: FencingToken?
        var next = written.startIndex
        for line in lines {
            stock[line.entry.movement.article, default: 0] += line.entry.movement.delta
            if let highest, line.token < highest {
                complaints.append("shard \(shard): \(line.member) wrote \(line.entry.offset) as a stale owner")
            }
            highest = max(highest ?? line.token, line.token)
            if next < written.endIndex, line.entry == written[next] {
                next += 1
            } else if next > 0, line.entry.offset <= written[next - 1].offset {
                complaints.append("shard \(shard): \(line.entry.offset) is applied again, by \(line.member)")
            } else {
                complaints.append("shard \(shard): \(line.entry.offset) is out of turn, by \(line.member)")
            }
        }
        missing += written.endIndex - next
    }

    /// Throws what is wrong, or still missing.
    func verdict(expecting count: Int) throws -> String {
        guard complaints.isEmpty else { throw ExampleError("WRONG: " + complaints.joined(separator: "\nWRONG: ")) }
        guard movements == count, missing == 0 else {
            throw ExampleError("\(movements - missing) of \(count) movements are applied")
        }
        guard stock == expected else { throw ExampleError("WRONG: the stock is not the sum of the movements") }
        return """
            inventory: \(movements) movements, each applied once and in order; the stock of \(stock.count) articles adds up, \
            \(stock.values.reduce(0, +)) pieces
            """
    }
}
