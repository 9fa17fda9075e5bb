import ExamplesShared
import MQLock

/// Reads a ledger and reports errors: each order once, in its customer's order, none missing, and no line with a token
/// smaller than that of the line before.
struct Audit {
    private(set) var orders = 0
    private(set) var complaints: [String] = []

    init(_ ledger: Ledger, slots: Int) throws {
        var last: [String: Int] = [:]
        for slot in 0..<slots {
            var highest: FencingToken?
            for line in try ledger.lines(ofSlot: slot) {
                orders += 1
                let next = last[line.order.customer, default: 0] + 1
                if line.order.number < next { complaints.append("\(line.order) is there again") }
                if line.order.number > next { complaints.append("\(line.order) came before \(next)") }
                last[line.order.customer] = max(next - 1, line.order.number)
                if let highest, line.token < highest {
                    complaints.append("\(line.order) was written by a stale holder")
                }
                highest = max(highest ?? line.token, line.token)
            }
        }
    }
}
