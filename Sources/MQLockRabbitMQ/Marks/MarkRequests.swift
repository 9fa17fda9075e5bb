import MQLock

/// Pending requests for marks. Each waits for a session, and is repeated over the next session when that one ends
/// before the answer.
final class MarkRequests {
    typealias Answer = Result<[DoneMark], LockError>

    private struct Asker {
        let request: MarkRequest
        let name: LockName
        let queue: String
        let answer: (Answer) -> Void
        var work: MarkWork?
    }

    private let settings: SessionSettings
    private let loop: EventLoop
    private let timers: Timers<UInt64>
    private var waiting: [UInt64: Asker] = [:]
    private var session: Session?

    init(_ settings: SessionSettings, on loop: EventLoop) {
        self.settings = settings
        self.loop = loop
        timers = Timers(loop)
    }

    /// - Parameters:
    ///   - deadline: when the request ends without an answer.
    ///   - overdue: makes that error from what is known to be in the way.
    ///   - answer: called once.
    func add(
        _ number: UInt64, _ request: MarkRequest, of name: LockName, until deadline: ContinuousClock.Instant?,
        overdue: @escaping (String?) -> LockError, _ answer: @escaping (Answer) -> Void
    ) {
        let queue: String
        do throws(LockError) {
            queue = try ObjectNames(name, vhost: settings.endpoint.vhost).done
        } catch {
            return answer(.failure(error))
        }
        waiting[number] = Asker(request: request, name: name, queue: queue, answer: answer)
        if let deadline {
            timers.start(number, at: deadline) { [weak self] in
                guard let self, let asker = waiting[number] else { return }
                end(number, .failure(overdue(asker.work?.obstacle)))
            }
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
        for number in waiting.keys {
            waiting[number]?.work?.cancel()
            waiting[number]?.work = nil
        }
    }

    func end(_ number: UInt64, _ answer: Answer) {
        guard let asker = waiting.removeValue(forKey: number) else { return }
        timers.stop(number)
        asker.work?.cancel()
        asker.answer(answer)
    }

    /// Marks can still be written while holders finish.
    func endReading(_ error: LockError) {
        for (number, asker) in waiting where asker.request.isRead { end(number, .failure(error)) }
    }

    func endAll(_ error: LockError) {
        for number in waiting.keys { end(number, .failure(error)) }
    }

    private func begin(_ number: UInt64) {
        guard let session, let asker = waiting[number] else { return }
        let work = MarkWork(asker.request, of: asker.name, asker.queue, over: session, on: loop) { [weak self] in
            self?.end(number, $0)
        }
        waiting[number]?.work = work
        work.begin()
    }
}
