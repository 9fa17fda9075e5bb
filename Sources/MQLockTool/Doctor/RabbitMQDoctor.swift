import Foundation
import MQLock
import MQLockRabbitMQ

/// Checks that locks on a RabbitMQ broker work, by acquiring some of its own. It removes what they leave there.
struct RabbitMQDoctor: Sendable {
    let uri: String
    /// The URL of the management API, if it may be asked.
    var management: String?
    let patience: Duration
    let tell: @Sendable (Finding) -> Void

    func examine() async {
        let (greeting, version) = greet()
        tell(greeting)
        guard greeting.level != .wrong else { return }
        await lookForOtherMajorVersion(version)
        var names: [LockName] = []
        var left: (name: LockName, since: ContinuousClock.Instant)?
        for (mutex, word) in [
            (RabbitMQLocks.Mutex.singleActiveConsumer, "sac"), (.token, "token"), (.exclusiveQueue, "exclusive"),
        ] {
            // No other program uses this name, so only the broker can cause a wait.
            guard let name = try? LockName("mqlock-doctor/\(UUID().uuidString)/\(word)") else { continue }
            names.append(name)
            let finding = await tryOut(mutex, word, name)
            tell(finding)
            // A broker that does nothing for one mutex does nothing for the others either.
            if finding.status == ExitStatus.unavailable { break }
            if mutex == .token, finding.level == .good {
                await lookAtPolicies(of: name)
                let returns = returns(of: name)
                tell(returns)
                if returns.level == .good { left = (name, .now) }
            }
        }
        if let left {
            try? await Task.sleep(until: left.since + Self.rest)
            tell(stays(left.name))
        }
        tell(remove(names))
    }

    private func greet() -> (finding: Finding, version: String?) {
        do throws(LockError) {
            let administration = try BrokerAdministration(uri: uri)
            let version = administration.version
            return (Self.judge(version: version, at: administration.address), version)
        } catch {
            return (.wrong("broker", error.message, ExitStatus.of(error)), nil)
        }
    }

    /// More often than the broker's own delivery limit, 20 from 4.0 on, lets a message return.
    private static let returns = 25

    /// Whether a lock outlives its holders' crashes, and stays in order. A policy's delivery limit overrides the
    /// queue's own, and one with delayed-retry holds back returned messages.
    private func returns(of name: LockName) -> Finding {
        do throws(LockError) {
            switch try BrokerAdministration(uri: uri).returns(of: name, times: Self.returns) {
            case .all: return .good("returns", "a lock's message is still there after \(Self.returns) returns")
            case .lost(let count):
                return .wrong(
                    "returns",
                    """
                    the broker dropped a lock's message after \(count) returns, and with it the lock. Probably a policy sets \
                    a delivery-limit for queues that begin with mqlock.v1. \(Self.policies)
                    """, ExitStatus.incompatible)
            case .delayed(let delay):
                return .wrong(
                    "returns",
                    """
                    the broker held back a lock's message for \(delay.readable) when it was returned. Probably a policy sets \
                    delayed-retry for queues that begin with mqlock.v1; then fencing tokens can go back. \(Self.policies)
                    """, ExitStatus.incompatible)
            }
        } catch {
            return .wrong("returns", error.message, ExitStatus.of(error))
        }
    }

    /// How long a message stays untouched, so that a policy could drop it.
    private static let rest = Duration.seconds(5)

    /// Whether a free lock survives: a policy's message-ttl drops its message, and expires removes the whole queue.
    private func stays(_ name: LockName) -> Finding {
        do throws(LockError) {
            guard try BrokerAdministration(uri: uri).hasMessage(of: name) else {
                return .wrong(
                    "stays",
                    """
                    the broker dropped the message of a free lock within \(Self.rest.readable). Probably a policy sets \
                    message-ttl or expires for queues that begin with mqlock.v1. \(Self.policies)
                    """, ExitStatus.incompatible)
            }
            return .good("stays", "the message of a free lock is still there after \(Self.rest.readable)")
        } catch {
            return .wrong("stays", error.message, ExitStatus.of(error))
        }
    }

    /// A queue has one policy, the one with the highest priority. So a policy without effect keeps all others away.
    static let policies = """
        `rabbitmqctl list_policies` shows it. Let it match other queues only, or shield those of locks by a policy of \
        higher priority that does nothing: \(shield)
        """

    static let shield = """
        rabbitmqctl set_policy --priority 1000 --apply-to queues mqlock '^mqlock\\.v1' '{"max-length":1000000}'
        """

    /// Over a connection of its own: a connection belongs to the thread that opened it.
    private func remove(_ names: [LockName]) -> Finding {
        do throws(LockError) {
            let administration = try BrokerAdministration(uri: uri)
            try administration.delete(try administration.queues(of: names))
            return .good("queues", "those that were made for this are gone again")
        } catch {
            return .advice(
                "queues", "those that were made for this, mqlock.v1…/mqlock-doctor/…, may be left: \(error.message)")
        }
    }

    static func judge(version: String?, at address: String) -> Finding {
        guard let version else {
            return .advice(
                "broker", "answers at \(address), and hides its version: it is taken for RabbitMQ 4.0 or newer")
        }
        let broker = "RabbitMQ \(version.escapedForDisplay) at \(address)"
        switch BrokerAdministration.support(of: version) {
        case .supported(let tested):
            return .good("broker", "\(broker); MQLock is tested on \(tested.joined(separator: ", "))")
        case .faulty(let fault): return .advice("broker", "\(broker): \(fault)")
        case .refused(let reason): return .wrong("broker", "\(broker): \(reason)", ExitStatus.incompatible)
        case .unknown: return .wrong("broker", "\(broker) names no version", ExitStatus.incompatible)
        }
    }

    private func tryOut(_ mutex: RabbitMQLocks.Mutex, _ word: String, _ name: LockName) async -> Finding {
        let subject = "mutex \(word)"
        var configuration = RabbitMQLocks.Configuration(uri: uri, mutex: mutex)
        configuration.startupTimeout = patience
        do throws(LockError) {
            let locks = try RabbitMQLocks(configuration)
            let finding = await Self.tryOut(locks, subject, name, patience)
            await locks.shutdown()
            return finding
        } catch {
            return .wrong(subject, error.message, ExitStatus.of(error))
        }
    }

    private static func tryOut(
        _ locks: RabbitMQLocks, _ subject: String, _ name: LockName, _ patience: Duration
    ) async -> Finding {
        do throws(LockError) {
            let start = ContinuousClock.now
            let held = try await locks.acquire(name, within: patience)
            let granted = ContinuousClock.now
            try await held.release()
            let released = ContinuousClock.now
            return .good(
                subject,
                """
                connected, acquired and released a lock: \(start.duration(to: granted).readable) and \
                \(granted.duration(to: released).readable)
                """)
        } catch {
            // A timeout on a name that no other program uses is the broker's doing.
            let status = error.code == .timedOut ? ExitStatus.unavailable : ExitStatus.of(error)
            return .wrong(subject, error.message, status)
        }
    }
}
