import Foundation
import MQLock
import MQLockTesting
import Testing

/// Jobs of a schedule, on a broker in memory and clocks that the tests move.
@Suite(.timeLimit(.minutes(1))) struct ScheduledJobTests {
    private struct JobFailed: Error {}

    private let clock = ManualClock()
    private let broker: InMemoryBroker
    private let mine: InMemoryLocks
    private let theirs: InMemoryLocks
    private let log = ScheduleLog()

    init() {
        broker = InMemoryBroker(clock: clock)
        mine = InMemoryLocks(broker, owner: "mine")
        theirs = InMemoryLocks(broker, owner: "theirs")
        broker.setTimeOfDay(ScheduleLog.midnight)
    }

    /// Runs a program until it is cancelled.
    private func start(
        _ locks: any MarkKeeping, _ owner: String, _ schedule: Schedule, missed: MissedTicks = .skip,
        marksFailures: Bool = false, _ job: @escaping @Sendable (Tick) async throws -> Void = { _ in }
    ) -> Task<Void, any Error> {
        Task {
            // A text of run time, so the entry point for those.
            try await locks.schedule("report \(1)", schedule, missed: missed, marksFailures: marksFailures) { tick in
                #expect(tick.lease.owner == owner && tick.lease.name == "report 1")
                try await job(tick)
            } onEvent: {
                log.add(owner, $0)
            }
        }
    }

    /// Returns when so many programs wait for their clocks, and so are at nothing else.
    private func asleep(_ programs: Int) async {
        while clock.sleepers < programs, !Task.isCancelled { await Task.yield() }
    }

    /// Moves the clock in steps, at each of which so many programs have done what was due.
    private func advance(_ seconds: Int, by step: Int = 1, programs: Int = 1) async {
        await asleep(programs)
        for _ in 0..<(seconds / step) {
            clock.advance(by: .seconds(step))
            await asleep(programs)
        }
    }

    /// Moves the clock until that has happened.
    private func move(until line: String) async {
        while !log.lines.contains(line), !Task.isCancelled {
            clock.advance(by: .milliseconds(100))
            await clock.settle()
        }
    }

    private func end(_ programs: Task<Void, any Error>...) async throws {
        for program in programs { program.cancel() }
        for program in programs { try await program.value }
    }

    // MARK: Each tick once

    /// With intervals that are longer, and shorter, than what the clocks are apart.
    @Test(arguments: [1, 5, 30]) func clocksThatAreApartDoEachTickOnce(_ interval: Int) async throws {
        let third = InMemoryLocks(broker, owner: "third")
        mine.setTimeOfDay(ahead: .seconds(5))
        theirs.setTimeOfDay(ahead: .seconds(-5))
        let schedule = try Schedule.every(.seconds(interval))
        let programs = [
            start(mine, "mine", schedule), start(theirs, "theirs", schedule), start(third, "third", schedule),
        ]
        await advance(interval * 20, programs: 3)
        for program in programs { try await end(program) }
        let done = log.ticks(.done)
        // By the clock that is ahead.
        let last = interval * 20 + 5
        let expected = (1...20 * interval + 5).filter { $0 > 5 && $0 % interval == 0 && $0 <= last }.map(Int64.init)
        #expect(done.filter { $0 > 5 } == expected)
        #expect(Set(done).count == done.count && log.ticks(.began) == done)
        #expect(log.ticks(.failed).isEmpty && log.ticks(.retrying).isEmpty && log.ticks(.missed).isEmpty)
        #expect(log.ticks(.skipped).count >= 2 * (expected.count - 10 / interval - 1))
    }

    @Test func ticksOfACalendarWhoseClocksAreSetBack() async throws {
        broker.setTimeOfDay(Int64(try Date("2026-10-24T23:00:00Z", strategy: .iso8601).timeIntervalSince1970) * 1000)
        let program = start(mine, "mine", try .cron("30 2 * * *", in: "Europe/Berlin"))
        let other = start(theirs, "theirs", try .cron("30 2 * * *", in: "Europe/Berlin"))
        await advance(4 * 3600, by: 30, programs: 2)
        try await end(program, other)
        #expect(log.events(.done).map { WallClock.text($0.tick) } == ["2026-10-25T00:30:00Z"])
        #expect(log.events(.skipped).count == 1)
        #expect(try await mine.marks(of: "report 1").map(\.period) == ["2026-10-25T00:30:00Z"])
    }

    @Test func betweenTicksTheBrokerIsLeftAlone() async throws {
        let program = start(mine, "mine", try .cron("@yearly"))
        await advance(3600, by: 10)
        #expect(broker.requests == 0 && clock.sleepers == 1)
        try await end(program)
        #expect(log.lines == [])
    }

    // MARK: Failures

    @Test(arguments: [false, true]) func aJobThatThrowsIsLeftToTheOthers(_ marksFailures: Bool) async throws {
        mine.setTimeOfDay(ahead: .seconds(2))
        let schedule = try Schedule.every(.seconds(60))
        let first = start(mine, "mine", schedule, marksFailures: marksFailures) { _ in throw JobFailed() }
        let second = start(theirs, "theirs", schedule, marksFailures: marksFailures)
        await advance(120, programs: 2)
        try await end(first, second)
        let others = marksFailures ? ["theirs skipped"] : ["theirs began", "theirs done"]
        #expect(
            log.lines
                == [60, 120].flatMap { tick in (["mine began", "mine failed"] + others).map { "\($0) \(tick)" } })
        #expect(log.events(.failed).allSatisfy { $0.error is JobFailed })
        #expect(log.events(.skipped).allSatisfy { $0.mark?.outcome == .failed })
    }

    /// Its own error may be of the lock's kind.
    @Test(arguments: [LockError.Code.lost, .unreachable, .shutDown, .accessRefused]) func aJobsErrorIsNotTheLocks(
        _ code: LockError.Code
    ) async throws {
        let program = start(mine, "mine", try .every(.seconds(60))) { _ in throw LockError(code, "of another lock") }
        await advance(125)
        try await end(program)
        #expect(log.lines == ["mine began 60", "mine failed 60", "mine began 120", "mine failed 120"])
    }

    @Test func whoDiesIsFollowedByTheNext() async throws {
        mine.setTimeOfDay(ahead: .seconds(2))
        let schedule = try Schedule.every(.seconds(60))
        let isGone = Locked(false)
        let first = start(mine, "mine", schedule) { _ in
            // As if the process were gone.
            mine.silence()
            isGone.withLock { $0 = true }
            try await clock.sleep(until: clock.now.after(.seconds(10_000)))
        }
        let second = start(theirs, "theirs", schedule)
        await advance(57, programs: 2)
        clock.advance(by: .seconds(1))
        while !isGone.withLock({ $0 }), !Task.isCancelled { await Task.yield() }
        clock.advance(by: .seconds(2))
        while broker.contenders(for: "report 1") < 2, !Task.isCancelled { await Task.yield() }
        clock.advance(by: broker.sessionTimeout)
        await log.wait(for: "theirs done 60")
        #expect(log.lines.filter { $0.hasPrefix("theirs") } == ["theirs began 60", "theirs done 60"])
        mine.heal()
        try await end(first, second)
    }

    @Test func aLockThatIsLostIsTakenAgain() async throws {
        let tries = Locked(0)
        let program = start(mine, "mine", try .every(.seconds(60))) { _ in
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            guard number < 3 else { return }
            mine.dropSession()
            try await clock.sleep(until: clock.now.after(.seconds(1000)))
        }
        await asleep(1)
        await move(until: "mine done 60")
        #expect(
            log.lines
                == [
                    "mine began 60", "mine retrying 60", "mine began 60", "mine retrying 60", "mine began 60",
                    "mine done 60",
                ])
        #expect(log.events(.retrying).allSatisfy { ($0.error as? LockError)?.code == .lost })
        #expect(try await mine.marks(of: "report 1").count == 1)
        try await end(program)
    }

    /// A tick can be begun until the next one is due.
    @Test(arguments: MissedTicks.allCases, [20, 130]) func aBrokerThatCannotBeReached(
        _ missed: MissedTicks, _ seconds: Int
    ) async throws {
        let locks = AskedLocks(locks: mine)
        let program = start(locks, "mine", try .every(.seconds(60)), missed: missed)
        // With a session, and ticks of before done.
        await advance(119)
        let (before, asked) = (log.lines.count, locks.asked.withLock { $0 })
        mine.silence()
        clock.advance(by: .seconds(1))
        while locks.asked.withLock({ $0 }) == asked, !Task.isCancelled { await Task.yield() }
        for _ in 0..<seconds { clock.advance(by: .seconds(1)) }
        mine.heal()
        if seconds < 60 {
            await move(until: "mine done 120")
        } else {
            await move(until: missed == .skip ? "mine missed 240" : "mine done 240")
        }
        await advance(60)
        try await end(program)
        let lines = log.lines.dropFirst(before)
        let next = seconds < 60 ? 180 : 300
        let expected =
            switch (seconds < 60, missed) {
            case (true, _): ["mine began 120", "mine done 120"]
            case (false, .skip): ["mine missed 120", "mine missed 240"]
            case (false, .runOnce): ["mine missed 120", "mine began 240", "mine done 240"]
            }
        #expect(Array(lines) == expected + ["mine began \(next)", "mine done \(next)"])
    }

    // MARK: Missed ticks

    @Test func aProgramThatStartsDoesNoOldTicksUnlessItIsToDoTheNewest() async throws {
        broker.setTimeOfDay(ScheduleLog.midnight + 1_500_000)
        let schedule = try Schedule.every(.seconds(600))
        let first = start(mine, "mine", schedule)
        await asleep(1)
        #expect(log.lines == [])
        let second = start(theirs, "theirs", schedule, missed: .runOnce)
        await asleep(2)
        #expect(log.lines == ["theirs began 1200", "theirs done 1200"])
        // The marks say that it has been done.
        let third = InMemoryLocks(broker, owner: "third")
        let last = start(third, "third", schedule, missed: .runOnce)
        await asleep(3)
        #expect(log.lines.dropFirst(2) == ["third skipped 1200"])
        try await end(first, second, last)
    }

    @Test(arguments: MissedTicks.allCases) func aJobThatTakesLongerThanTheInterval(_ missed: MissedTicks) async throws {
        mine.setTimeOfDay(ahead: .seconds(2))
        let schedule = try Schedule.every(.seconds(60))
        // Not from when the job looks at the clock, which may have been moved on by then.
        let end = clock.now.after(.seconds(58 + 150))
        let first = start(mine, "mine", schedule, missed: missed) { tick in
            if tick.time == ScheduleLog.midnight + 60_000 { try await clock.sleep(until: end) }
        }
        let second = start(theirs, "theirs", schedule, missed: missed)
        await asleep(2)
        let before = log.lines.count
        await advance(57, programs: 2)
        clock.advance(by: .seconds(1))
        await log.wait(for: "mine began 60")
        // The other one stands in line.
        clock.advance(by: .seconds(2))
        while broker.contenders(for: "report 1") < 2, !Task.isCancelled { await Task.yield() }
        for _ in 0..<147 { clock.advance(by: .seconds(1)) }
        #expect(log.lines.dropFirst(before) == ["mine began 60"])
        clock.advance(by: .seconds(1))
        await log.wait(for: "mine done 60")
        await advance(35, programs: 2)
        try await self.end(first, second)
        #expect(log.ticks(.done).filter { $0 > 0 } == (missed == .skip ? [60, 240] : [60, 180, 240]))
        #expect(log.ticks(.began) == log.ticks(.done))
        if missed == .skip { #expect(log.ticks(.missed) == [180, 180]) }
    }

    /// A clock that was set wrong, and then right, keeps no tick from being done, and does none twice.
    @Test(arguments: MissedTicks.allCases) func aClockThatIsSetForthAndBack(_ missed: MissedTicks) async throws {
        let program = start(mine, "mine", try .every(.seconds(600)), missed: missed)
        await advance(60)
        let before = log.lines.count
        mine.setTimeOfDay(ahead: .seconds(1250))
        // That is seen in time.
        clock.advance(by: .seconds(30))
        await log.wait(for: missed == .skip ? "mine missed 1200" : "mine done 1200")
        await asleep(1)
        mine.setTimeOfDay(ahead: .zero)
        await advance(1800, by: 10)
        try await end(program)
        #expect(
            log.lines.dropFirst(before).filter { $0.contains("done") }.sorted()
                == ["mine done 1200", "mine done 1800", "mine done 600"])
        if missed == .runOnce { #expect(log.lines.contains("mine skipped 1200")) }
    }

    // MARK: The end

    @Test func aScheduleEndsWithItsTask() async throws {
        let schedule = try Schedule.every(.seconds(60))
        // Asleep.
        let asleep = start(mine, "mine", schedule)
        await self.asleep(1)
        try await end(asleep)
        #expect(clock.sleepers == 0)
        // At its job, which ends when it wants to.
        let (goes, go) = AsyncStream.makeStream(of: Void.self)
        let ended = Locked(false)
        let working = start(mine, "mine", schedule) { _ in
            await Task { for await _ in goes { break } }.value
            ended.withLock { $0 = true }
            try Task.checkCancellation()
        }
        await self.asleep(1)
        clock.advance(by: .seconds(30))
        await self.asleep(1)
        clock.advance(by: .seconds(30))
        await log.wait(for: "mine began 60")
        // In line behind it.
        broker.setTimeOfDay(ScheduleLog.midnight + 50_000)
        let waiting = start(theirs, "theirs", schedule)
        await self.asleep(1)
        clock.advance(by: .seconds(10))
        while broker.contenders(for: "report 1") < 2 { await Task.yield() }
        try await end(waiting)
        working.cancel()
        #expect(!ended.withLock { $0 })
        go.finish()
        try await working.value
        #expect(ended.withLock { $0 } && log.lines == ["mine began 60"])
        #expect(try await mine.marks(of: "report 1") == [])
        // Before it began.
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            try await mine.schedule("report", schedule) { _ in }
        }
        try await end(late)
    }

    @Test func aScheduleOfAProviderThatWasShutDownEndsWithAnError() async throws {
        let program = start(mine, "mine", try .every(.seconds(60)))
        await asleep(1)
        mine.shutdown()
        for _ in 0..<2 {
            await asleep(1)
            clock.advance(by: .seconds(30))
        }
        let error = await #expect(throws: LockError.self) { try await program.value }
        #expect(error?.code == .shutDown)
    }

    /// The mark that it left is refused; that is told at each tick, and others go on when it has been removed.
    @Test func marksOfAClockThatIsFarAhead() async throws {
        theirs.setTimeOfDay(ahead: .seconds(7 * 24 * 3600))
        let schedule = try Schedule.every(.seconds(60))
        let wrong = start(theirs, "theirs", schedule)
        await advance(60 * 5)
        try await end(wrong)
        let program = start(mine, "mine", schedule)
        await advance(120)
        #expect(log.lines.suffix(2) == ["mine failed 360", "mine failed 420"])
        #expect(log.events(.failed).allSatisfy { ($0.error as? LockError)?.code == .invalidConfiguration })
        try await end(program)
    }
}
