public import MQLock

/// Sees who holds the locks of a RabbitMQ broker and who waits for them, and asks holders to yield.
///
/// Connects for each call and takes no lock. Contenders of all mutexes answer, over the direct exchange
/// `mqlock.v1.control`; the protocol is described in the article *Seeing who holds a lock*.
public final class RabbitMQInspector: LockInspector {
    private let settings: SessionSettings
    private let startupTimeout: Duration?
    private let backoff: GrowingDelay

    /// How long after an answer another one may take.
    private static let quiet = Duration.milliseconds(250)

    /// Prepares an inspector; no I/O happens before the first use.
    /// - Parameter configuration: the broker, and timeouts; the mutex plays no part.
    /// - Throws: `LockError` with code `invalidConfiguration` when the URI or a value makes no sense.
    public init(_ configuration: RabbitMQLocks.Configuration) throws(LockError) {
        settings = try SessionSettings(configuration)
        startupTimeout = configuration.startupTimeout
        backoff = GrowingDelay(configuration.backoff)
    }

    /// Asks all contenders of a name who they are, and the broker about the lock's queue.
    /// - Parameters:
    ///   - name: the lock that the question is about.
    ///   - limit: how long to wait for the holder's answer at most. From it on, and where the broker says that the lock is
    ///     free, it takes a quarter of a second.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `invalidName`, `cancelled`.
    public func view(_ name: LockName, within limit: Duration = .seconds(2)) async throws(LockError) -> LockView {
        let objects = try ObjectNames(name, vhost: settings.endpoint.vhost)
        var sessions: Set<String> = []
        var contenders: [LockContender] = []
        let queue = try await asking(.who, of: name, within: limit, view: objects) { answer in
            if case .here(let contender) = answer, sessions.insert(contender.session).inserted {
                contenders.append(contender)
            }
            // Until the holder answers there is something to wait for.
            return contenders.contains { $0.role == .holder } ? .nearly : .more
        }
        return LockView(name: name, contenders: contenders, queue: queue)
    }

    /// Asks the holder with this token to give the lock up.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `cancelled`.
    public func askToYield(
        _ name: LockName, token: FencingToken, within limit: Duration = .seconds(5)
    ) async throws(LockError) -> YieldAnswer {
        var result = YieldAnswer.silent
        _ = try await asking(.yield(token), of: name, within: limit) { answer in
            switch answer {
            case .yielding(let contender): result = .yielding(contender)
            case .refused(_, let reason): result = .refused(reason)
            case .here, .changed: return .more
            }
            return .enough
        }
        return result
    }

    /// What the URI says, for the broker's other interfaces.
    package struct Credentials: Sendable {
        package let user: String
        package let password: String
        package let vhost: String

        package init(user: String, password: String, vhost: String) {
            (self.user, self.password, self.vhost) = (user, password, vhost)
        }
    }

    package var credentials: Credentials {
        let endpoint = settings.endpoint
        return Credentials(user: endpoint.user, password: endpoint.password, vhost: endpoint.vhost)
    }

    /// What one wants of further answers: all there are, those that come soon, none.
    private enum Progress { case more, nearly, enough }

    /// Asks once and hands the answers out: until one is enough, nobody listens, or the time is over.
    private func asking(
        _ request: ControlRequest, of name: LockName, within limit: Duration, view objects: ObjectNames? = nil,
        _ take: (ControlAnswer) -> Progress
    ) async throws(LockError) -> LockView.QueueView {
        let (events, continuation) = AsyncStream.makeStream(
            of: AskingConnection.Event?.self, bufferingPolicy: .bufferingOldest(10_000))
        let (inner, told) = AsyncStream.makeStream(
            of: AskingConnection.Event.self, bufferingPolicy: .bufferingOldest(10_000))
        let relay = Task { for await event in inner { continuation.yield(event) } }
        defer { relay.cancel() }
        let connection = try AskingConnection(settings, events: told)
        do throws(LockError) {
            try await connection.open()
            let question = await connection.ask(request, of: name)
            let deadline = ContinuousClock.now.after(limit)
            var view = LockView.QueueView.unknown
            if let objects { view = await connection.queueView(of: objects) }
            // Of a lock that is free only waiters could answer, of one that was released a moment ago.
            let isFree = LockView(name: name, contenders: [], queue: view).state == .free
            var alarm = Self.alarm(isFree ? min(Self.quiet, limit) : limit, continuation)
            defer { alarm.cancel() }
            loop: for await event in events {
                switch event {
                case .answered(question, let answer)?:
                    let progress = take(answer)
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
                case .answered?, .hello?, .blocked(nil)?: continue
                }
            }
            guard !Task.isCancelled else { throw .cancelled(name) }
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

    /// Every change of a lock, as its contenders announce it.
    ///
    /// The stream throws `LockError` when the broker refuses us, and `unreachable` when no connection came up within
    /// the configuration's `startupTimeout`; a connection that is lost later is made anew.
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
