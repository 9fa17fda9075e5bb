/// What `rabbitmqctl list_consumers` says. One call at a time, for all who ask while the one before runs: each is an
/// Erlang node of its own, and five at once keep two processors from the broker for seconds.
actor ConsumerList {
    static let shared = ConsumerList()

    private typealias Call = Task<[Substring], any Error>
    private var running: [String: Call] = [:]
    /// Called as soon as `running` is done.
    private var next: [String: Call] = [:]

    /// The queue of each consumer in the virtual host, as of after the call.
    func queues(of broker: LiveBroker, vhost: String = "/") async throws -> [Substring] {
        let key = "\(broker.control ?? "") \(vhost)"
        if let next = next[key] { return try await next.value }
        let before = running[key]
        let call = Call {
            _ = await before?.result
            begins(key)
            return try await broker.ctl("-q", "list_consumers", "-p", vhost, "queue_name").split(separator: "\n")
        }
        next[key] = call
        return try await call.value
    }

    private func begins(_ key: String) { running[key] = next.removeValue(forKey: key) }
}
