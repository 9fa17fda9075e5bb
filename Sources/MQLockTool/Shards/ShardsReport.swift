import MQLock
import MQLockKafka

/// The reports of `shards`: lines for people, or JSON.
struct ShardsReport: Sendable {
    let topic: String
    let owner: String
    let json: Bool
    /// Writes to standard output; false when nobody reads it any more.
    let write: @Sendable (String) -> Bool
    let writeError: @Sendable (String) -> Void

    /// - Returns: false when nobody reads it any more.
    @discardableResult
    func joining(partitions: Int, session: Duration) -> Bool {
        tell("joining", "the group of \(topic), \(partitions) partitions, session \(session.readable)") {
            $0.add("partitions", partitions)
            $0.add("session", session)
        }
    }

    @discardableResult
    func tell(_ event: ShardEvent) -> Bool {
        var words = event.shard.map { "shard \($0)" } ?? ""
        if let token = event.fencingToken { words += ", fencing token \(token)" }
        if let reason = event.reason { words += "\(words.isEmpty ? "" : ": ")\(reason)" }
        return tell(event.kind.description, words) {
            $0.add("shard", event.shard)
            // As text: most readers of JSON make a floating-point number of a number, and tokens need all 63 bits.
            $0.add("fence", event.fencingToken?.description)
            $0.add("reason", event.reason?.description)
        }
    }

    func left() { tell("left", "the group of \(topic)") }

    /// In words it has no timestamp: it is about the command, not about a shard.
    func failed(_ message: String, status: Int32) {
        guard json else { return writeError("mqlock: \(message)\n") }
        tell("failed", message) {
            $0.add("status", status)
            $0.add("message", message)
        }
    }

    @discardableResult
    private func tell(_ event: String, _ words: String, _ details: (inout JSONLine) -> Void = { _ in }) -> Bool {
        let now = WallClock.now
        guard json else { return write("\(WallClock.stamp(now)) \(event) \(words)\n") }
        var line = JSONLine(event, now: now)
        line.add("topic", topic)
        details(&line)
        line.add("owner", owner)
        return write(line.text)
    }
}
