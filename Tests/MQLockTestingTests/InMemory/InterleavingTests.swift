import Foundation
import MQLock
import MQLockTesting
import Testing

/// Rule 5: a wait that is cancelled or times out, with everything that can be in flight at that moment.
///
/// Each case is a generated order of steps: a message of one client delivered, the holder's release, the waiter's end.
@Suite(.timeLimit(.minutes(5))) struct InterleavingTests {
    private static let cases = 10_000

    private static var seed: UInt64 {
        ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
    }

    @Test func noInterleavingLeavesTheLockTaken() async throws {
        let seed = Self.seed
        print("interleavings: MQLOCK_SEED=\(seed)")
        let leak = try await firstLeak(seed: seed, mutation: [])
        #expect(leak == nil, "the lock stayed taken after interleaving \(leak ?? -1), MQLOCK_SEED=\(seed)")
    }

    @Test(arguments: 1...5) func withoutThePutBackOneDoes(_ seed: UInt64) async throws {
        #expect(try await firstLeak(seed: seed, mutation: .lateGrantNotPutBack) != nil)
    }

    private func firstLeak(seed: UInt64, mutation: Mutation) async throws -> Int? {
        var random = SeededGenerator(seed)
        let clock = ManualClock()
        let broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(1000), mutation: mutation)
        let world = Interleaving(broker: broker, clock: clock)
        for index in 0..<Self.cases {
            guard try await world.isFree(after: index, &random) else { return index }
        }
        return nil
    }
}

private struct Interleaving {
    enum Step { case release, giveUp, holderToBroker, holderToClient, waiterToBroker, waiterToClient }

    let clock: ManualClock
    let broker: InMemoryBroker
    let holder: InMemoryLocks
    let waiter: InMemoryLocks
    let third: InMemoryLocks

    init(broker: InMemoryBroker, clock: ManualClock) {
        self.broker = broker
        self.clock = clock
        holder = InMemoryLocks(broker)
        waiter = InMemoryLocks(broker)
        third = InMemoryLocks(broker)
    }

    func isFree(after index: Int, _ random: inout SeededGenerator) async throws -> Bool {
        let name = try LockName("interleaving \(index)")
        // Sessions are up, and every later message waits for its step.
        try await waiter.acquire("warm up").release()
        let (grants, granted) = AsyncStream.makeStream(of: Void.self)
        let (release, go) = AsyncStream.makeStream(of: Void.self)
        let releasing = Task { [holder] in
            let held = try await holder.acquire(name)
            granted.finish()
            for await _ in release { break }
            return try await held.release()
        }
        for await _ in grants {}
        waiter.hold(.toBroker)
        waiter.hold(.toClient)
        holder.hold(.toBroker)
        let timesOut = Bool.random(using: &random)
        let waiting = Task { [waiter] in
            try await waiter.acquire(name, within: timesOut ? .seconds(1) : nil).release()
        }
        while waiter.inFlight(.toBroker) == 0 { await Task.yield() }
        var steps: [Step] = [.release, .giveUp]
        for _ in 0..<Int.random(in: 2...8, using: &random) {
            steps.append(
                [.holderToBroker, .holderToClient, .waiterToBroker, .waiterToClient]
                    .randomElement(using: &random) ?? .waiterToClient)
        }
        for step in steps.shuffled(using: &random) {
            switch step {
            case .release:
                go.yield()
                while holder.inFlight(.toBroker) == 0 { await Task.yield() }
            case .giveUp:
                if timesOut { clock.advance(by: .seconds(1)) } else { waiting.cancel() }
            case .holderToBroker: holder.deliverNext(.toBroker)
            case .holderToClient: holder.deliverNext(.toClient)
            case .waiterToBroker: waiter.deliverNext(.toBroker)
            case .waiterToClient: waiter.deliverNext(.toClient)
            }
        }
        holder.heal()
        waiter.heal()
        try await releasing.value
        _ = await waiting.result
        guard let next = try await third.tryAcquire(name) else { return false }
        try await next.release()
        return true
    }
}
