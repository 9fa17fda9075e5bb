import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct InMemoryFaultTests {
    private let clock = ManualClock()
    private let broker: InMemoryBroker
    private let mine: InMemoryLocks
    private let theirs: InMemoryLocks

    init() {
        broker = InMemoryBroker(clock: clock)
        mine = InMemoryLocks(broker)
        theirs = InMemoryLocks(broker)
    }

    @Test func aSessionThatRenewsLivesForEver() async throws {
        let held = try await mine.acquire("name")
        clock.advance(by: .seconds(86_400))
        #expect(held.lease.isValid && broker.sessions == 1)
        try await held.release()
    }

    @Test func overdueProofIsSuspectAndComesBack() async throws {
        let held = try await mine.acquire("name")
        var states = held.lease.states.makeAsyncIterator()
        #expect(await states.next() == .held)
        mine.silence()
        clock.advance(by: .seconds(5))
        #expect(await states.next() == .suspect)
        #expect(held.lease.isValid)
        mine.heal()
        #expect(await states.next() == .held)
        try await held.release()
        #expect(await states.next() == .released)
        #expect(await states.next() == nil)
    }

    @Test func aDuplicatedGrantIsOneGrant() async throws {
        try await mine.acquire("warm up").release()
        mine.duplicateNextDelivery()
        mine.duplicateNextDelivery()
        let held = try await mine.acquire("name")
        #expect(broker.contenders(for: "name") == 1)
        try await held.release()
        #expect(broker.contenders(for: "name") == 0)
    }

    @Test func aPausedClientIsInvalidByTheClockAlone() async throws {
        let held = try await mine.acquire("name")
        let lease = held.lease
        mine.pause()
        clock.advance(by: .seconds(10))
        #expect(!lease.isValid)
        let next = try await theirs.acquire("name")
        #expect(next.lease.fencingToken > lease.fencingToken)
        mine.resume()
        #expect(next.lease.isValid)
        try await next.release()
        #expect(await isLost(held))
    }

    /// The clock goes on between the moment at which an answer is taken in and the one at which it extends the proof.
    @Test func anAnswerThatAHolderSawComeTooLateEndsTheSession() async throws {
        let clock = SetClock()
        let broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(10))
        let mine = InMemoryLocks(broker)
        let held = try await mine.acquire("name")
        let began = clock.now
        clock.now = began + .seconds(3)
        mine.hold(.toClient)
        // A turn in which the renewal that is due is sent.
        mine.resume()
        #expect(mine.inFlight(.toClient) == 1)
        clock.now = began + .seconds(10)
        #expect(!held.lease.isValid)
        clock.now = began + .seconds(4)
        mine.unhold(.toClient)
        // Else nobody would ever get it: the session would live on, with a lease that nobody has.
        #expect(broker.contenders(for: "name") == 0)
        #expect(await isLost(held))
    }

    private func isLost(_ held: consuming HeldLock) async -> Bool {
        do throws(LockError) {
            try await held.release()
            return false
        } catch {
            return error.code == .lost
        }
    }

    @Test func aTryWithoutAnAnswerEndsAsUnreachable() async throws {
        try await mine.acquire("warm up").release()
        mine.dropNext(.toBroker)
        let code = Locked<LockError.Code?>(nil)
        let attempt = Task { [mine] in
            do throws(LockError) {
                if let held = try await mine.tryAcquire("name") { try await held.release() }
            } catch {
                code.withLock { $0 = error.code }
            }
        }
        while code.withLock({ $0 }) == nil {
            clock.advance(by: .seconds(1))
            await Task.yield()
        }
        await attempt.value
        #expect(code.withLock { $0 } == .unreachable)
    }

    @Test func aRestartLosesHoldersAndKeepsWaiters() async throws {
        let held = try await mine.acquire("name")
        let token = held.lease.fencingToken
        let next = Task { [theirs] in
            let held = try await theirs.acquire("name")
            let token = held.lease.fencingToken
            try await held.release()
            return token
        }
        while broker.contenders(for: "name") < 2 { await Task.yield() }
        broker.restart()
        #expect(try await next.value > token)
        #expect(await isLost(held))
    }

    @Test func shutdownEndsHoldersAndWaiters() async throws {
        let held = try await mine.acquire("name")
        let waiter = Task { [mine] in try await mine.acquire("name").release() }
        let other = try await theirs.acquire("other")
        let across = Task { [mine] in try await mine.acquire("other").release() }
        while broker.contenders(for: "other") < 2 { await Task.yield() }
        let lease = held.lease
        mine.shutdown()
        #expect(!lease.isValid)
        for task in [waiter, across] {
            let error = await #expect(throws: LockError.self) { try await task.value }
            #expect(error?.code == .shutDown)
        }
        let late = await #expect(throws: LockError.self) { try await mine.acquire("new").release() }
        #expect(late?.code == .shutDown)
        try await other.release()
    }

    @Test func aClientThatIsForgottenLeavesTheBroker() async throws {
        do {
            let passing = InMemoryLocks(broker)
            try await passing.acquire("name").release()
            #expect(broker.sessions == 1)
        }
        while broker.sessions > 0 { await Task.yield() }
    }

    @Test func itWorksByTheSystemClockToo() async throws {
        // Longer than what else runs in this process can keep a renewal waiting.
        let broker = InMemoryBroker(sessionTimeout: .seconds(4))
        let first = InMemoryLocks(broker)
        let second = InMemoryLocks(broker)
        let held = try await first.acquire("name")
        first.silence()
        let lease = held.lease
        let next = try await second.acquire("name", within: .seconds(30))
        #expect(!lease.isValid && next.lease.isValid)
        try await next.release()
        first.heal()
        #expect(await isLost(held))
        let refused = await #expect(throws: LockError.self) {
            let blocking = try await second.acquire("name")
            try await first.acquire("name", within: .milliseconds(20)).release()
            try await blocking.release()
        }
        #expect(refused?.code == .timedOut)
    }
}

/// A clock that a test sets, also back; nobody wakes by it.
private final class SetClock: LockClock {
    private let instant = Locked(ContinuousClock.now)

    var now: ContinuousClock.Instant {
        get { instant.withLock { $0 } }
        set { instant.withLock { $0 = newValue } }
    }

    func sleep(until deadline: ContinuousClock.Instant) async throws { try await Task.sleep(for: .seconds(86_400)) }
}
