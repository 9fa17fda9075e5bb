import Foundation
import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct LocalArbiterTests {
    private let clock = ManualClock()

    private func arbiter(limit: Int = 100) -> LocalArbiter { LocalArbiter(clock: clock, maximumWaiters: limit) }

    private func enter(
        _ arbiter: LocalArbiter, _ name: LockName = "name", deadline: ContinuousClock.Instant? = nil
    ) -> Task<LocalArbiter.Ticket, any Error> {
        Task { try await arbiter.enter(name, deadline: deadline) }
    }

    private func failure(_ task: Task<LocalArbiter.Ticket, any Error>) async -> LockError.Code? {
        guard case .failure(let error) = await task.result else { return nil }
        return (error as? LockError)?.code
    }

    @Test func firstComeFirstServed() async throws {
        let arbiter = arbiter()
        var ticket = try #require(arbiter.tryEnter("name"))
        #expect(arbiter.tryEnter("name") == nil)
        #expect(arbiter.tryEnter("other") != nil, "names do not wait for each other")
        var tasks: [Task<LocalArbiter.Ticket, any Error>] = []
        for index in 0..<20 {
            tasks.append(enter(arbiter))
            await eventually { arbiter.waiting == index + 1 }
        }
        for (index, task) in tasks.enumerated() {
            arbiter.leave(ticket)
            arbiter.leave(ticket)
            ticket = try await task.value
            #expect(arbiter.waiting == 19 - index, "leaving twice let nobody else in")
        }
        arbiter.leave(ticket)
        #expect(arbiter.tryEnter("name") != nil)
    }

    @Test func aDeadlineEndsTheWait() async throws {
        let arbiter = arbiter()
        let ticket = try #require(arbiter.tryEnter("name"))
        let waiter = enter(arbiter, deadline: clock.now.advanced(by: .seconds(1)))
        await eventually { arbiter.waiting == 1 && clock.sleepers == 1 }
        clock.advance(by: .seconds(1))
        #expect(await failure(waiter) == .timedOut)
        #expect(arbiter.waiting == 0)
        #expect(await failure(enter(arbiter, deadline: clock.now)) == .timedOut, "a deadline that has passed")
        arbiter.leave(ticket)
        #expect(try await enter(arbiter, deadline: clock.now).value.name == "name", "a free line asks for no time")
    }

    @Test func oneTooManyIsRefusedAndTakesNoPlace() async throws {
        let arbiter = arbiter(limit: 2)
        let ticket = try #require(arbiter.tryEnter("name"))
        let waiters = [enter(arbiter), enter(arbiter)]
        await eventually { arbiter.waiting == 2 }
        #expect(await failure(enter(arbiter)) == .limitExceeded)
        #expect(arbiter.waiting == 2)
        arbiter.leave(ticket)
        for waiter in waiters { waiter.cancel() }
        for waiter in waiters { if case .success(let ticket) = await waiter.result { arbiter.leave(ticket) } }
        #expect(arbiter.waiting == 0)
        #expect(arbiter.tryEnter("name") != nil)
    }

    /// Empty lines are kept for the next contender, but not all of them; one with a contender is never forgotten.
    @Test func linesThatNobodyUsesAreForgotten() throws {
        let arbiter = arbiter()
        let holder = try #require(arbiter.tryEnter("held"))
        for number in 0..<10_000 {
            let ticket = try #require(arbiter.tryEnter(try LockName("name \(number)")))
            #expect(arbiter.tryEnter("held") == nil)
            arbiter.leave(ticket)
        }
        #expect(arbiter.names < 1000)
        arbiter.leave(holder)
        #expect(arbiter.tryEnter("held") != nil)
    }

    @Test func whoHasWaitedForAHoldLearnsWhenItEnded() async throws {
        let arbiter = arbiter()
        let first = try #require(arbiter.tryEnter("name"))
        #expect(arbiter.freedAt(first) == nil)
        let second = enter(arbiter)
        await eventually { arbiter.waiting == 1 }
        let third = enter(arbiter)
        await eventually { arbiter.waiting == 2 }
        let end = clock.now.advanced(by: .seconds(7))
        arbiter.leave(first, heldUntil: CompactInstant(end))
        var tickets: [LocalArbiter.Ticket] = []
        for waiter in [second, third] {
            let ticket = try await waiter.value
            tickets.append(ticket)
            // The second leaves without having held the lock.
            #expect(arbiter.freedAt(ticket) == (tickets.count == 1 ? end : nil))
            arbiter.leave(ticket)
        }
        let last = try #require(arbiter.tryEnter("name"))
        #expect(arbiter.freedAt(last) == nil)
    }

    /// Contenders come, give up and leave in generated orders; after each case the line is empty and free.
    @Test func generatedInterleavingsLeaveTheLineFree() async throws {
        let seed = ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? 20_260_101
        var random = SeededGenerator(seed)
        for index in 0..<10_000 {
            let arbiter = arbiter()
            let holder = try #require(arbiter.tryEnter("name"))
            let count = Int.random(in: 1...3, using: &random)
            let deadline = clock.now.advanced(by: .seconds(1))
            let tasks = (0..<count).map { _ in
                enter(arbiter, deadline: Int.random(in: 0..<4, using: &random) == 0 ? deadline : nil)
            }
            var actions: [@Sendable () -> Void] = [{ arbiter.leave(holder) }]
            for task in tasks where Bool.random(using: &random) { actions.append { task.cancel() } }
            if Bool.random(using: &random) { actions.append { [clock] in clock.advance(by: .seconds(1)) } }
            for action in actions.shuffled(using: &random) {
                for _ in 0..<Int.random(in: 0...6, using: &random) { await Task.yield() }
                action()
            }
            await withTaskGroup(of: Void.self) { group in
                for task in tasks {
                    group.addTask { if case .success(let ticket) = await task.result { arbiter.leave(ticket) } }
                }
            }
            try #require(arbiter.waiting == 0, "interleaving \(index), MQLOCK_SEED=\(seed)")
            try #require(arbiter.tryEnter("name") != nil, "interleaving \(index), MQLOCK_SEED=\(seed)")
        }
    }
}
