import Foundation

/// What the job of one period wrote, in all the processes that did it.
struct OnceJournal {
    var starts = 0
    var ends = 0
    var isOverlapping = false

    init(_ url: URL, _ number: Int) throws {
        var running: Substring?
        for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, words[1] == "\(number)" else { continue }
            switch words[0] {
            case "start":
                starts += 1
                running = words[2]
            default:
                // A killed one says nothing any more; one that is not the last to start should not either.
                if running != words[2] { isOverlapping = true }
                if words[0] == "end" { ends += 1 }
                running = nil
            }
        }
    }
}
