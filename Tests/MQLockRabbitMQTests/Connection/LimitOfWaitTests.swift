import MQLock
import Testing

@testable import MQLockRabbitMQ

/// Every wait ends by the caller's deadline or by cancellation, wherever the way to a session gets stuck. The timeouts for
/// connecting and for requests are far beyond the suite's own limit: who waits for them hangs.
@Suite("A limit is a limit", .serialized, .timeLimit(.minutes(1)))
struct LimitOfWaitTests {
    private let name: LockName = "limit"

    private func withLocks(
        _ peer: UnwillingPeer, connectTimeout: Duration = .seconds(600),
        _ body: (RabbitMQLocks, EventLog) async throws -> Void
    ) async throws {
        let (keep, place) = try peer.start()
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://u:p@127.0.0.1?heartbeat=1")
        configuration.connectTimeout = connectTimeout
        configuration.requestTimeout = .seconds(600)
        configuration.backoff = .milliseconds(20) ... .milliseconds(100)
        var settings = try SessionSettings(configuration)
        place(&settings)
        let log = EventLog()
        let locks = try RabbitMQLocks(settings, observer: log)
        try await body(locks, log)
        await locks.shutdown()
        withExtendedLifetime(keep) {}
    }

    @Test(arguments: UnwillingPeer.allCases)
    func aWait(_ peer: UnwillingPeer) async throws {
        try await withLocks(peer) { locks, _ in
            let error = await #expect(throws: LockError.self) {
                try await locks.acquire(name, within: .milliseconds(200)).release()
            }
            #expect(error?.code == .unreachable)
        }
    }

    @Test(arguments: UnwillingPeer.allCases)
    func aVerification(_ peer: UnwillingPeer) async throws {
        try await withLocks(peer) { locks, _ in
            let error = await #expect(throws: LockError.self) { try await locks.verify(within: .milliseconds(200)) }
            #expect(error?.code == .unreachable)
            #expect(!locks.isConnected)
        }
    }

    @Test(arguments: UnwillingPeer.allCases)
    func aWaitThatIsCancelled(_ peer: UnwillingPeer) async throws {
        try await withLocks(peer) { locks, log in
            let contender = Contender(locks, name)
            _ = try await log.first(.connecting)
            contender.cancel()
            #expect(try await contender.failure()?.code == .cancelled)
        }
    }

    @Test(arguments: UnwillingPeer.allCases)
    func aWaitWhileSomebodyShutsDown(_ peer: UnwillingPeer) async throws {
        try await withLocks(peer) { locks, log in
            let contender = Contender(locks, name)
            let verifying = Task { () async -> LockError? in
                do throws(LockError) { try await locks.verify(within: .seconds(600)) } catch { return error }
                return nil
            }
            _ = try await log.first(.connecting)
            await locks.shutdown(within: .seconds(600))
            #expect(try await contender.failure()?.code == .shutDown)
            #expect(await verifying.value?.code == .shutDown)
        }
    }

    @Test(arguments: UnwillingPeer.allCases)
    func aServiceThatIsCancelled(_ peer: UnwillingPeer) async throws {
        try await withLocks(peer) { locks, log in
            let service = Task { try await locks.run() }
            _ = try await log.first(.connecting)
            service.cancel()
            try await service.value
            _ = try await log.first(.stopped)
        }
    }

    /// A try waits for one attempt to connect, whose time is the connection's, and for no other.
    @Test(arguments: UnwillingPeer.allCases)
    func aTry(_ peer: UnwillingPeer) async throws {
        try await withLocks(peer, connectTimeout: .milliseconds(300)) { locks, log in
            let error = await #expect(throws: LockError.self) { _ = try await locks.tryAcquire(name) }
            #expect(error?.code == .unreachable)
            #expect(log.events.count { $0.kind == .connecting } == 1)
            // While there is a pause between attempts, the next try does not wait for it.
            #expect(locks.lastError?.code == .unreachable)
        }
    }

    /// One that was broken off leaves no thread and no descriptor behind, as far as that is in our hands.
    @Test(arguments: [UnwillingPeer.accepts, .acceptsNot, .stopsInTheLogin, .isNotFound])
    func anAttemptThatIsBrokenOff(_ peer: UnwillingPeer) async throws {
        let (keep, place) = try peer.start()
        var settings = try SessionSettings(.init(uri: "amqp://127.0.0.1"))
        place(&settings)
        let attempt = try ConnectionAttempt(lookUp: settings.lookUp)
        let failure = OneShot<ConnectionFailure?>()
        let endpoint = settings.endpoint
        _ = LoopThread.start(name: "test") {
            do throws(ConnectionFailure) {
                _ = try AMQPConnection.open(endpoint, timeout: .seconds(600), attempt: attempt)
                failure.fulfil(nil)
            } catch {
                failure.fulfil(error)
            }
        }
        // At any moment.
        try await Task.sleep(for: .milliseconds(Int.random(in: 0...50)))
        attempt.cancel()
        #expect(try await failure.value() == ConnectionAttempt.cancelled)
        withExtendedLifetime(keep) {}
    }
}
