import Foundation
import MQLockTesting

/// What a member writes of itself, one on a line.
struct Sighting {
    enum What: String {
        /// It begins to join.
        case joins
        case owned
        /// A shard is not owned any more.
        case ended
    }

    let what: What
    /// In nanoseconds of the history's clock, which all processes share.
    let at: UInt64
    let shard: Int

    init(_ what: What, _ shard: Int = -1, at: UInt64 = HistoryClock.now) {
        (self.what, self.at, self.shard) = (what, at, shard)
    }

    init?(line: String) {
        let words = line.split(separator: " ")
        guard words.count == 3, let what = What(rawValue: String(words[0])), let at = UInt64(words[1]),
            let shard = Int(words[2])
        else { return nil }
        self.init(what, shard, at: at)
    }

    func tell() { FileHandle.standardOutput.write(Data("\(what.rawValue) \(at) \(shard)\n".utf8)) }
}

extension [Sighting] {
    /// All in one write.
    func tell() {
        let text = map { "\($0.what.rawValue) \($0.at) \($0.shard)\n" }.joined()
        FileHandle.standardOutput.write(Data(text.utf8))
    }
}
