import MQLock
import MQLockKafka

/// `mqlock break` on a log of locks: asks the holder to yield by a record. Expires its session once it has been silent
/// for so long that the holder can no longer rely on its lease.
struct LogBreak: Sendable {
    let options: InspectionOptions
    let inspector: KafkaLockInspector
    let report: InspectionReport

    private var name: LockName { options.name }

    /// - Returns: the exit status.
    func run() async throws(LockError) -> Int32 {
        let view = try await inspector.view(name, within: options.reading)
        try NamePattern.refuseUnused(view)
        report.show(view)
        guard let holder = view.holders.first, let token = holder.fencingToken else { return refuseFree() }
        guard options.confirmed else {
            return refuse(
                "unconfirmed", "nothing is broken yet: say --yes to take the lock \(name) from its holder",
                ExitStatus.usage)
        }
        switch try await inspector.takeAway(name, token: token, within: options.patience) {
        case .yielded(let holder):
            report.tell("yielding", holder, "has lost the lock, and it is handed on")
            return ExitStatus.success
        case .expired(let holder):
            report.tell("expired", holder, "was silent, and its session has expired: its locks are handed on")
            return ExitStatus.success
        case .notHeld:
            return refuse(
                "free", "the holder has given the lock \(name) up by itself: there is nothing to break",
                ExitStatus.conflict)
        case .alive:
            return refuse(
                "unyielding",
                """
                the holder of \(name) lives and was asked, and its work has not ended in \(options.patience.readable): \
                the lock goes on when it has; -w waits longer
                """, ExitStatus.conflict)
        case .silent(let left):
            let limit = options.patience + left
            return refuse(
                "silent",
                """
                the holder of \(name) was asked, and has not answered in \(options.patience.readable). If its session stays \
                silent, it can be expired in \(left.readable): -w \(Self.seconds(limit)) waits for that
                """, ExitStatus.conflict)
        }
    }

    private static func seconds(_ duration: Duration) -> String { "\(duration.components.seconds + 2)s" }

    private func refuseFree() -> Int32 {
        refuse("free", "the lock \(name) is free: there is nothing to break", ExitStatus.conflict)
    }

    private func refuse(_ event: String, _ words: String, _ status: Int32) -> Int32 {
        report.tell(event, words, status: status)
        return status
    }
}
