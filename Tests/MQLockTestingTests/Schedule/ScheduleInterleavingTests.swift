import Foundation
import MQLock
import MQLockTesting
import Testing

/// Programs with one schedule, in a generated order of messages, failures, losses and deaths.
@Suite(.timeLimit(.minutes(20))) struct ScheduleInterleavingTests {
    private static var seed: UInt64 {
        ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
    }

    @Test func withoutFaultsEachTickIsDoneOnce() async throws {
        let seed = Self.seed
        print("schedules without faults: MQLOCK_SEED=\(seed)")
        var random = SeededGenerator(seed)
        for index in 0..<2 {
            let world = try ScheduleWorld(&random, hasFaults: false)
            let ledger = try await world.run()
            let faults =
                ledger.faults
                + ledger.ticks.filter { $0.value != .init(started: 1, completed: 1, done: 1) }.map { "\($0)" }
            #expect(
                faults.isEmpty && ledger.ticks.count == ScheduleWorld.ticks,
                "case \(index), MQLOCK_SEED=\(seed): \(faults), \(ledger.ticks.keys.sorted())")
        }
    }

    @Test func withFaultsEachTickIsCompletedAndNoneTwiceAtOnce() async throws {
        let seed = Self.seed
        print("schedules with faults: MQLOCK_SEED=\(seed)")
        var random = SeededGenerator(seed)
        var (deaths, repeated, failed) = (0, 0, 0)
        for index in 0..<4 {
            let world = try ScheduleWorld(&random, hasFaults: true)
            let ledger = try await world.run()
            let faults =
                ledger.faults + ledger.ticks.filter { $0.value.completed < 1 || $0.value.done > 1 }.map { "\($0)" }
            #expect(
                faults.isEmpty && ledger.ticks.count == ScheduleWorld.ticks,
                "case \(index), MQLOCK_SEED=\(seed): \(faults), \(ledger.ticks.keys.sorted())")
            deaths += ledger.deaths
            failed += ledger.failed
            repeated += ledger.ticks.count { $0.value.started > 1 }
        }
        print("schedules with faults: \(deaths) deaths, \(failed) failed, \(repeated) begun again")
        // Else the faults miss what they are for.
        #expect(deaths + failed + repeated > 0, "MQLOCK_SEED=\(seed)")
    }
}

private final class ScheduleWorld: Sendable {
    struct Runs: Equatable {
        var started = 0
        var completed = 0
        var done = 0
    }

    struct Ledger {
        /// By second after midnight.
        var ticks: [Int64: Runs] = [:]
        var faults: [String] = []
        var deaths = 0
        var failed = 0
        var inside: [Lease] = []
    }

    private struct JobFailed: Error {}

    /// A process: a client of the broker and the task that runs the schedule.
    private struct Program {
        let locks: InMemoryLocks
        let task: Task<Void, any Error>
    }

    static let ticks = 6
    /// Longer than it takes to see that a session is dead, and to follow it a few times.
    private static let interval = 120

    private let clock = ManualClock()
    private let broker: InMemoryBroker
    private let ledger = Locked(Ledger())
    private let random: Locked<SeededGenerator>
    private let hasFaults: Bool
    private let schedule: Schedule

    init(_ random: inout SeededGenerator, hasFaults: Bool) throws {
        broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(10))
        // Between two ticks, and further from them than clocks are apart.
        broker.setTimeOfDay(ScheduleLog.midnight + 60_000)
        self.random = Locked(SeededGenerator(random.next()))
        self.hasFaults = hasFaults
        schedule = try Bool.random(using: &random) ? .every(.seconds(Self.interval)) : .cron("*/2 * * * *")
    }

    private func number(_ range: ClosedRange<Int>) -> Int { random.withLock { Int.random(in: range, using: &$0) } }

    func run() async throws -> Ledger {
        var programs = (0..<3).map { start("client \($0)") }
        var started = programs.count
        let began = clock.now
        for turn in 0..<Self.ticks {
            // From the middle between two ticks to the next, by the clock: to come to rest takes time, too.
            await quiet(programs)
            var isHealed = false
            while true {
                let elapsed = began.duration(to: clock.now).nanoseconds / 1_000_000 - Int64(turn * Self.interval * 1000)
                let left = Self.interval * 1000 - Int(elapsed)
                guard left > 0 else { break }
                let step = min(number(1...1500), left)
                if hasFaults, (50_000...90_000).contains(elapsed), number(0...4) == 0 {
                    let victim = number(0...2)
                    // One lives through it all: each tick has a program that is there.
                    if victim > 0, number(0...3) == 0 {
                        // Killed, and started again.
                        programs[victim].locks.silence()
                        programs[victim].task.cancel()
                        ledger.withLock { $0.deaths += 1 }
                        programs[victim] = start("client \(started)")
                        started += 1
                    } else {
                        injectFault(programs[victim].locks)
                    }
                }
                if elapsed > 90_000, !isHealed {
                    isHealed = true
                    for program in programs { program.locks.heal() }
                    // The clock has run faster than the programs could, and sessions have died of that.
                    await quiet(programs)
                }
                clock.advance(by: .milliseconds(Int64(step)))
                for _ in 0..<number(0...20) { await Task.yield() }
                // Nobody is to be late only because this machine is slow.
                if !hasFaults, number(0...4) == 0 { await quiet(programs) }
            }
        }
        await quiet(programs)
        for program in programs { program.task.cancel() }
        for program in programs { try await program.task.value }
        return ledger.withLock { ledger in
            // From before they started, for some the newest missed one; and what began while they came to rest.
            ledger.ticks = ledger.ticks.filter { (1...Int64(Self.ticks * Self.interval)).contains($0.key) }
            return ledger
        }
    }

    /// Waits until all have done what was due. After faults that takes time: to connect again, for a session to end.
    private func quiet(_ programs: [Program]) async {
        var turns = 0
        while clock.sleepers < programs.count {
            await Task.yield()
            turns += 1
            if hasFaults, turns % 500 == 0 { clock.advance(by: .milliseconds(100)) }
        }
    }

    private func injectFault(_ locks: InMemoryLocks) {
        switch number(0...6) {
        case 0: locks.dropSession()
        case 1: locks.silence()
        case 2: locks.hold(.toClient)
        // A request, which is found to be unanswered. No connection loses a grant and lives on.
        case 3: locks.dropNext(.toBroker)
        case 4: broker.restart()
        default: locks.heal()
        }
    }

    private func start(_ owner: String) -> Program {
        let locks = InMemoryLocks(broker, owner: owner)
        locks.setTimeOfDay(ahead: .milliseconds(Int64(number(-5000...5000))))
        // The one that lives through it all may come to a tick late, as above.
        let missed = hasFaults && owner == "client 0" ? .runOnce : MissedTicks.allCases[number(0...1)]
        let task = Task { [self] in
            try await locks.schedule("job", schedule, missed: missed) { tick in
                try await self.job(tick)
            } onEvent: { [self] event in
                ledger.withLock { ledger in
                    let tick = (event.tick - ScheduleLog.midnight) / 1000
                    if event.kind == .done { ledger.ticks[tick, default: .init()].done += 1 }
                    if event.kind == .failed { ledger.failed += 1 }
                }
            }
        }
        return Program(locks: locks, task: task)
    }

    private func job(_ tick: Tick) async throws {
        let second = (tick.time - ScheduleLog.midnight) / 1000
        ledger.withLock { ledger in
            ledger.ticks[second, default: .init()].started += 1
            // Two at once are no fault where the older one has been lost, which its body does not know yet.
            if let other = ledger.inside.first(where: \.isValid), tick.lease.isValid {
                ledger.faults.append("\(tick.lease.owner) began while \(other.owner) was at it")
            }
            ledger.inside.append(tick.lease)
        }
        defer { ledger.withLock { ledger in ledger.inside.removeAll { $0.id == tick.lease.id } } }
        for _ in 0..<number(0...30) { await Task.yield() }
        // One of three at most, so that another does it.
        if hasFaults, tick.lease.owner.hasSuffix("1"), number(0...2) == 0 { throw JobFailed() }
        ledger.withLock { $0.ticks[second, default: .init()].completed += 1 }
    }
}
