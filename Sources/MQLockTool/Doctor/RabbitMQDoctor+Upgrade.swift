import MQLock
import MQLockRabbitMQ

/// Locks that were created under another major version of the broker, as the broker reports them: programs are refused
/// there.
extension RabbitMQDoctor {
    func lookForOtherMajorVersion(_ version: String?) async {
        guard let management else { return }
        do throws(LockError) {
            let credentials = try RabbitMQInspector(RabbitMQLocks.Configuration(uri: uri)).credentials
            let queues = try await ManagementAPI(management, credentials: credentials).queues(vhost: credentials.vhost)
            let limit = BrokerAdministration.deliveryLimit(on: version)
            tell(try Self.judge(queues, deliveryLimit: limit, vhost: credentials.vhost))
        } catch {
            tell(.advice("upgrade", "not looked at: \(error.message)"))
        }
    }

    /// - Parameter limit: the limit with which the locks' queues have to be declared; nil for none.
    static func judge(
        _ queues: [UnusedLocks.Queue], deliveryLimit limit: Int64?, vhost: String
    ) throws(LockError) -> Finding {
        var stale: [String] = []
        var names: Set<LockName> = []
        var hasMarks = false
        for queue in queues where queue.isQuorum && queue.deliveryLimit != limit {
            guard let part = LockObjects.part(queue.name), part.kind != .register else { continue }
            names.insert(part.name)
            stale.append(queue.name)
            if part.kind == .done { hasMarks = true }
            // A token and its register go together.
            if part.kind == .lock, !queue.isSingleActiveConsumer {
                stale.append(try LockObjects(part.name, vhost: vhost).register)
            }
        }
        guard !stale.isEmpty else { return .good("upgrade", "no lock is left from another major version of RabbitMQ") }
        let marks = "; with those of mqlock.v1.done, what has been done in the period of now is done once more"
        return .wrong(
            "upgrade",
            """
            \(names.count) \(names.count == 1 ? "lock was" : "locks were") made under another major version of RabbitMQ, \
            and programs are refused there. Stop those that use them, delete the queues with \
            `\(LockObjects.deletion(of: stale.sorted(), vhost: vhost))`, and start them again: the locks are made anew with \
            larger tokens\(hasMarks ? marks : "")
            """, ExitStatus.incompatible)
    }
}
