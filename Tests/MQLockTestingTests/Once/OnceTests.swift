import MQLock
import MQLockTesting
import Testing

/// A job that is to be done once in a period, on a broker in memory and clocks that the tests move.
@Suite(.timeLimit(.minutes(1))) struct OnceTests {
    private struct JobFailed: Error {}

    private let clock = ManualClock()
    private let broker: InMemoryBroker
    private let mine: InMemoryLocks
    private let theirs: InMemoryLocks
    private let runs = Tally()
    /// A midnight.
    private let midnight: Int64 = 20_000 * 24 * 3600 * 1000

    init() {
        broker = InMemoryBroker(clock: clock)
        mine = InMemoryLocks(broker, owner: "mine")
        theirs = InMemoryLocks(broker, owner: "theirs")
        broker.setTimeOfDay(midnight)
    }

    private func job(
        _ locks: InMemoryLocks, _ period: Period = .day, within limit: Duration? = nil, marksFailures: Bool = false
    ) async throws -> OnceResult<String> {
        try await locks.once("report", for: period, within: limit, marksFailures: marksFailures) { lease in
            try lease.check()
            runs.add(lease.owner)
            return lease.owner
        }
    }

    /// A job that goes on until the test ends it.
    private func longJob(
        _ locks: InMemoryLocks, _ period: Period = .day, marksFailures: Bool = false,
        end: @escaping @Sendable () async throws -> Void = {}
    ) async -> (running: Task<OnceResult<String>, any Error>, finish: AsyncStream<Void>.Continuation) {
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let (go, finish) = AsyncStream.makeStream(of: Void.self)
        let running = Task {
            try await locks.once("report", for: period, marksFailures: marksFailures) { lease in
                start.finish()
                // Not ended by a cancellation, as a job that cannot be interrupted.
                await Task { for await _ in go { break } }.value
                try await end()
                runs.add(lease.owner)
                return lease.owner
            }
        }
        for await _ in started { break }
        return (running, finish)
    }

    @Test func whoComesFirstDoesItAndTheOthersSkipIt() async throws {
        clock.advance(by: .seconds(90))
        #expect(try await job(mine) == .done("mine"))
        let skipped = try await job(theirs)
        let mark = try #require(skipped.mark)
        #expect(mark.owner == "mine" && mark.period == "day" && mark.start == midnight && mark.outcome == .completed)
        #expect(mark.began == midnight + 90_000 && mark.ended == midnight + 90_000)
        #expect(try await job(mine) == .skipped(mark))
        #expect(try await theirs.marks(of: "report") == [mark])
        #expect(try await theirs.marks(of: "other") == [])
        clock.advance(by: .seconds(24 * 3600 - 91))
        #expect(try await job(theirs).mark == mark)
        clock.advance(by: .seconds(1))
        #expect(try await job(theirs).value == "theirs")
        #expect(runs.all == ["mine", "theirs"])
        // The token of the run, which a resource can compare.
        #expect(try await mine.marks(of: "report").map(\.fencingToken).last! > mark.fencingToken)
    }

    @Test func whatIsDoneIsSkippedWithoutTheLock() async throws {
        _ = try await job(mine)
        let held = try await mine.acquire("report")
        #expect(try await job(theirs).mark != nil)
        try await held.release()
    }

    /// Also when the next period has begun meanwhile: it was called for the one before.
    @Test func whoWaitsWhileAnotherDoesItSkipsIt() async throws {
        broker.setTimeOfDay(midnight - 5000)
        let (running, finish) = await longJob(mine)
        let waiting = Task { try await job(theirs) }
        while broker.contenders(for: "report") < 2 { await Task.yield() }
        clock.advance(by: .seconds(1))
        for _ in 0..<5 { clock.advance(by: .seconds(1)) }
        finish.finish()
        #expect(try await running.value == .done("mine"))
        let mark = try #require(try await waiting.value.mark)
        #expect(mark.began < midnight && mark.ended > midnight)
        // And the new day's is still to be done.
        #expect(try await job(theirs) == .done("theirs"))
    }

    @Test func whoWaitsTooLongTimesOut() async throws {
        let (running, finish) = await longJob(mine)
        let waiting = Task { try await job(theirs, within: .seconds(2)) }
        while broker.contenders(for: "report") < 2 { await Task.yield() }
        clock.advance(by: .seconds(2))
        let error = await #expect(throws: LockError.self) { try await waiting.value }
        #expect(error?.code == .timedOut)
        finish.finish()
        _ = try await running.value
    }

    // MARK: Failures

    @Test func aJobThatFailsIsDoneByTheNext() async throws {
        await #expect(throws: JobFailed.self) { try await mine.once("report", for: .day) { _ in throw JobFailed() } }
        #expect(try await mine.marks(of: "report") == [])
        #expect(try await job(theirs) == .done("theirs"))
    }

    @Test func aJobThatFailsIsMarkedWhereThatIsChosen() async throws {
        await #expect(throws: JobFailed.self) {
            try await mine.once("report", for: .day, marksFailures: true) { _ in throw JobFailed() }
        }
        #expect(try await job(theirs).mark?.outcome == .failed)
        #expect(runs.all == [])
    }

    /// It did not fail: somebody wanted it to end.
    @Test func aJobThatIsCancelledIsNeverMarked() async throws {
        let (running, finish) = await longJob(mine, marksFailures: true) { try Task.checkCancellation() }
        running.cancel()
        finish.finish()
        await #expect(throws: CancellationError.self) { try await running.value }
        #expect(try await job(theirs) == .done("theirs"))
    }

    @Test func aJobThatIsDoneIsMarkedAlthoughItWasCancelled() async throws {
        let (running, finish) = await longJob(mine)
        running.cancel()
        finish.finish()
        #expect(try await running.value == .done("mine"))
        #expect(try await job(theirs).mark?.owner == "mine")
    }

    // MARK: Losses

    /// The holder dies between the end of its work and the mark: at least once.
    @Test(arguments: [false, true]) func aHolderThatLosesTheLockLeavesNoMark(_ isSilent: Bool) async throws {
        let (running, finish) = await longJob(mine)
        if isSilent {
            mine.silence()
            clock.advance(by: broker.sessionTimeout)
        } else {
            mine.dropSession()
        }
        finish.finish()
        let error = await #expect(throws: LockError.self) { try await running.value }
        #expect(error?.code == .lost)
        mine.heal()
        #expect(try await theirs.marks(of: "report") == [])
        #expect(try await job(theirs) == .done("theirs"))
        #expect(runs.all == ["mine", "theirs"])
    }

    /// The answer to the mark's writing is lost, and with it the session: the mark stands, or is written over the next one.
    @Test(arguments: [InMemoryLocks.Direction.toBroker, .toClient])
    func aMarkIsWrittenOverTheNextSession(_ direction: InMemoryLocks.Direction) async throws {
        let (running, finish) = await longJob(mine)
        mine.dropNext(direction)
        finish.finish()
        let moving = mover()
        let error = await #expect(throws: LockError.self) { try await running.value }
        moving.cancel()
        await moving.value
        #expect(error?.code == .lost)
        #expect(try await theirs.marks(of: "report").map(\.owner) == ["mine"])
        #expect(try await job(theirs).mark != nil)
        #expect(runs.all == ["mine"])
    }

    @Test func marksOutliveTheBrokersRestartAndTheLocksQueue() async throws {
        _ = try await job(mine)
        broker.restart()
        broker.deleteQueue(of: "report")
        mine.shutdown()
        let moving = mover()
        #expect(try await job(theirs).mark?.owner == "mine")
        moving.cancel()
        await moving.value
    }

    @Test func aBrokerThatDoesNotAnswerIsNotWaitedForLonger() async throws {
        try await mine.acquire("other").release()
        mine.silence()
        let asking = Task { try await job(mine, within: .seconds(3)) }
        while mine.inFlight(.toBroker) == 0 { await Task.yield() }
        clock.advance(by: .seconds(3))
        let error = await #expect(throws: LockError.self) { try await asking.value }
        #expect(error?.code == .unreachable)
        let before = mine.inFlight(.toBroker)
        let cancelled = Task { try await job(mine) }
        while mine.inFlight(.toBroker) == before { await Task.yield() }
        cancelled.cancel()
        let second = await #expect(throws: LockError.self) { try await cancelled.value }
        #expect(second?.code == .cancelled)
        mine.heal()
        #expect(try await job(mine) == .done("mine"))
    }

    // MARK: Clocks

    /// Programs that look every few seconds, with clocks that are apart: each day and each hour has one run.
    @Test(arguments: [("day", 24 * 3600), ("hour", 3600)], [Duration.seconds(5), .seconds(59)])
    func clocksThatAreApartDoNothingTwice(_ unit: (String, Int), _ apart: Duration) async throws {
        let period = try Period(unit.0)
        // Sessions that need no renewal: a day has tens of thousands.
        let broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(10_000_000))
        let (mine, theirs) = (InMemoryLocks(broker, owner: "mine"), InMemoryLocks(broker, owner: "theirs"))
        mine.setTimeOfDay(ahead: apart)
        theirs.setTimeOfDay(ahead: .zero - apart)
        let third = InMemoryLocks(broker, owner: "third")
        broker.setTimeOfDay(midnight - 200_000)
        let periods = 6
        for turn in 1...periods {
            // Around each change from one period to the next.
            for step in 0..<100 {
                for locks in [mine, theirs, third].shuffled() { _ = try await job(locks, period) }
                if step < 99 { clock.advance(by: .seconds(4)) }
            }
            #expect(runs.all.count == turn + 1, "\(runs.all)")
            clock.advance(by: .seconds(unit.1 - 396))
        }
    }

    @Test func aMarkOfTomorrowIsRefused() async throws {
        theirs.setTimeOfDay(ahead: .seconds(25 * 3600))
        _ = try await job(theirs)
        let error = await #expect(throws: LockError.self) { try await job(mine) }
        #expect(error?.code == .invalidConfiguration)
        // A key needs no clock.
        #expect(try await job(mine, .key("k")) == .done("mine"))
        #expect(try await job(theirs, .key("k")).mark?.owner == "mine")
    }

    @Test func theLastKeysAreRemembered() async throws {
        let keys = try (0..<10).map { try Period.key("release \($0)") }
        for key in keys { #expect(try await job(mine, key) == .done("mine")) }
        for key in keys.suffix(DoneMark.kept) { #expect(try await job(theirs, key).mark != nil) }
        #expect(try await theirs.marks(of: "report").count == DoneMark.kept)
        #expect(try await job(theirs, keys[0]) == .done("theirs"))
    }

    // MARK: Holding for a while

    @Test func aLockIsHeldAtLeastSoLong() async throws {
        let done = Task { try await mine.withLock("report", least: .seconds(5)) { $0.owner } }
        while clock.sleepers == 0 { await Task.yield() }
        #expect(try await theirs.tryAcquire("report") == nil)
        for _ in 0..<4 { clock.advance(by: .seconds(1)) }
        #expect(try await theirs.tryAcquire("report") == nil)
        clock.advance(by: .seconds(1))
        #expect(try await done.value == "mine")
        let next = try await theirs.acquire("report")
        try await next.release()
    }

    @Test func aJobThatFailsOrIsCancelledFreesTheLockAtOnce() async throws {
        await #expect(throws: JobFailed.self) {
            try await mine.withLock("report", least: .seconds(5)) { _ in throw JobFailed() }
        }
        let done = Task { try await mine.withLock("report", least: .seconds(5)) { $0.owner } }
        while clock.sleepers == 0 { await Task.yield() }
        done.cancel()
        #expect(try await done.value == "mine")
        try await theirs.acquire("report").release()
    }

    @Test func aLockThatIsLostWhileItIsKeptIsLost() async throws {
        let done = Task { try await mine.withLock("report", least: .seconds(5)) { $0.owner } }
        while clock.sleepers == 0 { await Task.yield() }
        mine.dropSession()
        let error = await #expect(throws: LockError.self) { try await done.value }
        #expect(error?.code == .lost)
    }

    private func mover() -> Task<Void, Never> {
        Task { [clock] in
            while !Task.isCancelled {
                clock.advance(by: .milliseconds(100))
                await clock.settle()
            }
        }
    }
}

/// What has been done, in order.
private final class Tally: Sendable {
    private let entries = Locked<[String]>([])

    var all: [String] { entries.withLock { $0 } }

    func add(_ entry: String) { entries.withLock { $0.append(entry) } }
}
