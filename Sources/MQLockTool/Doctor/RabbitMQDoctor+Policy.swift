import MQLock
import MQLockRabbitMQ

/// The policies that apply to the queues of locks, as the broker reports them.
extension RabbitMQDoctor {
    func lookAtPolicies(of name: LockName) async {
        guard let management else { return }
        do throws(LockError) {
            let credentials = try RabbitMQInspector(RabbitMQLocks.Configuration(uri: uri)).credentials
            let queue = try LockObjects(name, vhost: credentials.vhost).queue
            let kinds = try await ManagementAPI(management, credentials: credentials).policies(vhost: credentials.vhost)
            for policies in kinds { tell(Self.judge(policies, queue: queue)) }
        } catch {
            tell(.advice("policy", "not looked at: \(error.message)"))
        }
    }

    /// The effects of the policy that applies to a lock's queue.
    /// - Parameter policies: of one kind; the one with the highest priority applies.
    static func judge(_ policies: [ManagementAPI.Policy], queue: String) -> Finding {
        do {
            let applying = try policies.filter { try $0.applies(toQueue: queue) }.max { $0.priority < $1.priority }
            return applying.map(judge) ?? .good("policy", "none applies to the queues of locks")
        } catch {
            return .advice("policy", "a pattern makes no sense: \("\(error)".escapedForDisplay)")
        }
    }

    private static func judge(_ policy: ManagementAPI.Policy) -> Finding {
        let name = policy.name.escapedForDisplay
        let harmful = policy.definition.filter { isHarmful($0, $1) }
            .map { "\($0.escapedForDisplay)=\($1.escapedForDisplay)" }
        guard !harmful.isEmpty else {
            return .good("policy", "\(name) applies to the queues of locks, and does no harm")
        }
        return .wrong(
            "policy",
            """
            \(name) sets \(harmful.sorted().joined(separator: ", ")) for queues that begin with mqlock.v1: the broker drops \
            or holds back a lock's message. \(policies)
            """, ExitStatus.incompatible)
    }

    private static func isHarmful(_ key: String, _ value: String) -> Bool {
        switch key {
        case "message-ttl", "expires", "delivery-limit", "max-length-bytes": true
        // A lock has one message, and at moments a few more.
        case "max-length": Int(value).map { $0 < 100 } ?? true
        case "delayed-retry-type": !["disabled", "none"].contains(value)
        default: false
        }
    }
}
