import MQLock

/// Pending calls of `verify`: each waits for a session, and then for the result of a check over it.
final class Verifications {
    private struct Verification {
        let answer: (LockError?) -> Void
        var check: AccessCheck?
    }

    private let settings: SessionSettings
    private let loop: EventLoop
    private let timers: Timers<UInt64>
    private var waiting: [UInt64: Verification] = [:]
    private var session: Session?

    init(_ settings: SessionSettings, on loop: EventLoop) {
        self.settings = settings
        self.loop = loop
        timers = Timers(loop)
    }

    /// - Parameters:
    ///   - overdue: makes the error at the deadline from what is known to be in the way.
    ///   - answer: called once.
    func add(
        _ number: UInt64, until deadline: ContinuousClock.Instant, overdue: @escaping (String?) -> LockError,
        _ answer: @escaping (LockError?) -> Void
    ) {
        waiting[number] = Verification(answer: answer)
        timers.start(number, at: deadline) { [weak self] in
            guard let self, let verification = waiting[number] else { return }
            end(number, overdue(verification.check?.obstacle))
        }
        begin(number)
    }

    /// A session is up, and the broker version is supported.
    func begin(_ session: Session) {
        self.session = session
        for number in waiting.keys { begin(number) }
    }

    /// The session is gone; there will be another.
    func endSession() {
        session = nil
        for number in waiting.keys { waiting[number]?.check = nil }
    }

    func end(_ number: UInt64, _ error: LockError?) {
        guard let verification = waiting.removeValue(forKey: number) else { return }
        timers.stop(number)
        verification.check?.cancel()
        verification.answer(error)
    }

    func endAll(_ error: LockError) {
        for number in waiting.keys { end(number, error) }
    }

    private func begin(_ number: UInt64) {
        guard let session else { return }
        do throws(LockError) {
            let check = try AccessCheck(session, settings, on: loop) { [weak self] in self?.end(number, $0) }
            waiting[number]?.check = check
            check.begin()
        } catch {
            end(number, error)
        }
    }
}
