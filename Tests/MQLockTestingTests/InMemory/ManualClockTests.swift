import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct ManualClockTests {
    private let clock = ManualClock()

    @Test func sleepersWakeInOrderOfDeadline() async throws {
        let woken = Locked<[Int]>([])
        var tasks: [Task<Void, any Error>] = []
        for seconds in [3, 1, 2] {
            let deadline = clock.now.advanced(by: .seconds(seconds))
            tasks.append(
                Task { [clock] in
                    try await clock.sleep(until: deadline)
                    woken.withLock { $0.append(seconds) }
                })
        }
        while clock.sleepers < 3 { await Task.yield() }
        for count in 1...3 {
            clock.advance(by: .seconds(1))
            while woken.withLock({ $0.count }) < count { await Task.yield() }
            #expect(clock.sleepers == 3 - count)
        }
        #expect(woken.withLock { $0 } == [1, 2, 3])
        for task in tasks { try await task.value }
    }

    @Test func aCancelledSleeperEndsWithoutTime() async {
        let sleeper = Task { [clock] in try await clock.sleep(until: clock.now.advanced(by: .seconds(1))) }
        while clock.sleepers == 0 { await Task.yield() }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.sleepers == 0)
    }

    @Test func aDeadlineThatHasPassedNeedsNoSleep() async throws {
        clock.advance(by: .seconds(5))
        try await clock.sleep(until: clock.now)
        try await clock.sleep(until: clock.now.advanced(by: .seconds(-1)))
    }

    @Test func settlingLetsAWokenTaskGoOn() async {
        let isDone = Locked(false)
        Task { [clock] in
            try await clock.sleep(until: clock.now.advanced(by: .seconds(1)))
            isDone.withLock { $0 = true }
        }
        while clock.sleepers == 0 { await Task.yield() }
        clock.advance(by: .seconds(1))
        while !isDone.withLock({ $0 }) { await clock.settle() }
    }
}
