public import MQLock

/// Shows who holds the locks of a RabbitMQ broker and who waits for them, and asks holders to yield.
///
/// Connects for each call and never acquires a lock. Contenders of all mutexes answer over the direct exchange
/// `mqlock.v1.control`. The article *Seeing who holds a lock* describes the protocol.
public final class RabbitMQInspector: LockInspector {
    private let configuration: RabbitMQLocks.Configuration
    private let settings: SessionSettings
    private let startupTimeout: Duration?
    private let backoff: GrowingDelay

    /// How long to wait for another answer after the last one.
    private static let quiet = Duration.milliseconds(250)

    /// Creates an inspector; no I/O happens before the first use.
    /// - Parameter configuration: the broker and the timeouts; the mutex is ignored.
    /// - Throws: `LockError` with code `invalidConfiguration` when the URI or a value is invalid.
    public init(_ configuration: RabbitMQLocks.Configuration) throws(LockError) {
        self.configuration = configuration
        settings = try SessionSettings(configuration)
        startupTimeout = configuration.startupTimeout
        backoff = GrowingDelay(configuration.backoff)
    }

    /// Asks all contenders for a name who they are, and asks the broker about the lock's queue.
    /// - Parameters:
    ///   - name: the lock that the question is about.
    ///   - limit: how long to wait for the holder's answer at most. After that answer, or when the broker says that the
    ///     lock is free, the call takes a quarter of a second more.
    ///
    /// Answers of different users are different contenders, even when they name the same session: one of the two is
    /// lying.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `invalidName`, `cancelled`.
    public func view(_ name: LockName, within limit: Duration = .seconds(2)) async throws(LockError) -> LockView {
        let objects = try ObjectNames(name, vhost: settings.endpoint.vhost)
        var speakers: Set<LockContender.Speaker> = []
        var contenders: [LockContender] = []
        let queue = try await asking([.who], key: ControlNames.key(name), within: limit, view: objects) { _, answer in
            if case .here(let contender) = answer, speakers.insert(contender.speaker).inserted {
                contenders.append(contender)
            }
            // Until the holder answers, keep waiting.
            return contenders.contains { $0.role == .holder } ? .nearly : .more
        }
        return LockView(name: name, contenders: contenders, queue: queue)
    }

    /// The first contender that answers as the name's holder; nil when none does in time.
    /// - Throws: `LockError` as ``view(_:within:)``.
    package func holder(of name: LockName, within limit: Duration) async throws(LockError) -> LockContender? {
        var holder: LockContender?
        _ = try await asking([.who], key: ControlNames.key(name), within: limit) { _, answer in
            guard case .here(let contender) = answer, contender.role == .holder else { return .more }
            holder = contender
            return .enough
        }
        return holder
    }

    /// What has been done under a lock, once per period: the last marks, in any order. Creates nothing on the broker.
    /// - Parameters:
    ///   - name: the lock.
    ///   - limit: how long to wait for the broker at most.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `incompatible`, `invalidName`, `cancelled`.
    public func marks(of name: LockName, within limit: Duration = .seconds(2)) async throws(LockError) -> [DoneMark] {
        let locks = try RabbitMQLocks(configuration)
        let result: Result<[DoneMark], LockError>
        do throws(LockError) {
            result = .success(try await locks.marksThatAreThere(of: name, within: limit))
        } catch {
            result = .failure(error)
        }
        await locks.shutdown(within: .zero)
        return try result.get()
    }

    /// Asks the holder with this token to yield the lock.
    ///
    /// A refusal is believed only when no `yielding` arrives within a quarter of a second: anyone could refuse.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `cancelled`.
    public func askToYield(
        _ name: LockName, token: FencingToken, within limit: Duration = .seconds(5)
    ) async throws(LockError) -> YieldAnswer {
        var result = YieldAnswer.silent
        _ = try await asking([.yield(token)], key: ControlNames.key(name), within: limit) { _, answer in
            switch answer {
            case .yielding(let contender) where contender.fencingToken == token:
                result = .yielding(contender)
                return .enough
            case .refused(_, let reason, _):
                result = .refused(reason)
                return .nearly
            default: return .more
            }
        }
        return result
    }

    /// Asks all contenders that say they hold the lock. Only a contender that has claimed a hold can yield it.
    /// - Parameter claims: what contenders have claimed; a session answers a limited number of questions.
    /// - Returns: an answer for each claim.
    package func askToYield(
        _ name: LockName, claims: [LockContender], within limit: Duration
    ) async throws(LockError) -> [YieldAnswer] {
        var answers = claims.map { _ in YieldAnswer.silent }
        let tokens = Array(Set(claims.compactMap(\.fencingToken)))
        let requests = tokens.map(ControlRequest.yield)
        _ = try await asking(requests, key: ControlNames.key(name), within: limit) { index, answer in
            for (place, claim) in claims.enumerated() where claim.fencingToken == tokens[index] {
                switch (answer, answers[place]) {
                case (.yielding(let contender), _) where contender.speaker == claim.speaker:
                    answers[place] = .yielding(contender)
                case (.refused(_, let reason, _), .silent): answers[place] = .refused(reason)
                default: break
                }
            }
            if answers.allSatisfy({ if case .yielding = $0 { true } else { false } }) { return .enough }
            return answers.contains(.silent) ? .more : .nearly
        }
        return answers
    }

    /// All locks of the virtual host that have a holder or waiter which answers, with these contenders.
    ///
    /// Not included: holds and waits that end within a tenth of a second, holders that are stopped or cut off, and
    /// programs that do not listen.
    /// - Parameter limit: how long to wait for answers at most.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `cancelled`.
    package func locks(within limit: Duration) async throws(LockError) -> [LockView] {
        var contenders: [LockName: [LockContender]] = [:]
        var after: LockName?
        while contenders.count < Self.maximumLocks {
            // How many answers each session gave to this question, and the last of its names.
            var answered: [LockContender.Speaker: (count: Int, last: LockName)] = [:]
            _ = try await asking([.list(after: after)], key: ControlNames.listKey, within: limit) { _, answer in
                guard case .listed(let name, let contender) = answer else { return .more }
                answered[contender.speaker] = ((answered[contender.speaker]?.count ?? 0) + 1, name)
                contenders[name, default: []].append(contender)
                return .nearly
            }
            let cut = answered.values.filter { $0.count >= ControlRequest.maximumListed }.map(\.last)
            // Names after it are sent again by the sessions whose lists were not cut.
            guard let next = cut.min(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }),
                after.map({ $0.utf8.lexicographicallyPrecedes(next.utf8) }) ?? true
            else { break }
            after = next
        }
        return contenders.map { name, all in
            var speakers: Set<LockContender.Speaker> = []
            return LockView(
                name: name, contenders: all.filter { speakers.insert($0.speaker).inserted }, queue: .unknown)
        }
    }

    /// A limit, so nobody can make us remember more.
    private static let maximumLocks = 100_000

    /// What the URI contains, for the broker's other interfaces.
    package struct Credentials: Sendable {
        package let user: String
        package var password: String { hiddenPassword.value }
        package let vhost: String
        private let hiddenPassword: Hidden<String>

        package init(user: String, password: String, vhost: String) {
            (self.user, hiddenPassword, self.vhost) = (user, Hidden(password), vhost)
        }
    }

    package var credentials: Credentials {
        let endpoint = settings.endpoint
        return Credentials(user: endpoint.user, password: endpoint.password, vhost: endpoint.vhost)
    }

    /// Which further answers to wait for: all, those that come soon, none.
    private enum Progress { case more, nearly, enough }

    /// Asks, and passes on the answers, each with the index of its question. Stops when an answer is enough, nobody
    /// listens, or the time is over.
    private func asking(
        _ requests: [ControlRequest], key: String, within limit: Duration, view objects: ObjectNames? = nil,
        _ take: (Int, ControlAnswer) -> Progress
    ) async throws(LockError) -> LockView.QueueView {
        let (events, continuation) = AsyncStream.makeStream(
            of: AskingConnection.Event?.self, bufferingPolicy: .bufferingOldest(10_000))
        let (inner, sink) = AsyncStream.makeStream(
            of: AskingConnection.Event.self, bufferingPolicy: .bufferingOldest(10_000))
        let relay = Task { for await event in inner { continuation.yield(event) } }
        defer { relay.cancel() }
        let connection = try AskingConnection(settings, events: sink)
        do throws(LockError) {
            try await connection.open()
            var questions: [String: Int] = [:]
            for (index, request) in requests.enumerated() {
                questions[await connection.ask(request, key: key)] = index
            }
            let deadline = ContinuousClock.now.after(limit)
            var view = LockView.QueueView.unknown
            if let objects { view = await connection.queueView(of: objects) }
            // For a free lock only waiters could answer, if it was released a moment ago.
            let isFree = view.isFree
            var alarm = Self.alarm(isFree ? min(Self.quiet, limit) : limit, continuation)
            defer { alarm.cancel() }
            loop: for await event in events {
                switch event {
                case .answered(let question, let answer)?:
                    guard let index = questions[question] else { continue }
                    let progress = take(index, answer)
                    if progress == .enough { break loop }
                    guard progress == .nearly else { continue }
                    alarm.cancel()
                    alarm = Self.alarm(min(Self.quiet, ContinuousClock.now.duration(to: deadline)), continuation)
                case .ended(let error)?: throw error
                case .unheard?, nil: break loop
                case .blocked(let reason?)?:
                    throw LockError(
                        .unreachable,
                        "the broker takes no questions (\(reason)): free memory or disk space there, and ask again")
                case .hello?, .blocked(nil)?: continue
                }
            }
            guard !Task.isCancelled else { throw LockError(.cancelled, "cancelled while asking") }
            await connection.close()
            return view
        } catch {
            await connection.close()
            throw error
        }
    }

    private static func alarm(
        _ delay: Duration, _ continuation: AsyncStream<AskingConnection.Event?>.Continuation
    ) -> Task<Void, Never> {
        Task {
            do { try await Task.sleep(for: delay.bounded, clock: .continuous) } catch { return }
            continuation.yield(nil)
        }
    }

    /// Every change of a lock, as announced by its contenders.
    ///
    /// The stream throws `LockError` when the broker refuses us, and `unreachable` when no connection came up within
    /// the configuration's `startupTimeout`; a connection that is lost later is replaced.
    public func changes(of name: LockName) -> AsyncThrowingStream<LockChange, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(10_000)) { continuation in
            let observer = ChangeObserver(
                settings: settings, startupTimeout: startupTimeout, backoff: backoff, name: name)
            let task = Task {
                do throws(LockError) {
                    try await observer.run { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }
}
