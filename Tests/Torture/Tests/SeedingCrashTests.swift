import Foundation
import MQLock
import MQLockRabbitMQ
import MQLockTesting
import Testing

extension TortureTests {
    /// The first acquires of fresh names, by a process that is killed at whatever step it is at.
    @Suite struct SeedingCrashTests {}
}

extension TortureTests.SeedingCrashTests {
    @Test func nameIsObtainableWhereverItsSeederDied() async throws {
        let node = try await PrivateNode.shared()
        let run = UInt64.random(in: 0 ... .max)
        let seed = TestSeed.next()
        print("seeding crashes: MQLOCK_SEED=\(seed)")
        var generator = SeededGenerator(seed)
        let (first, second) = (try node.broker.locks(), try node.broker.locks())
        var (unfinished, names) = (0, [LockName]())
        for round in 0..<(LiveBroker.isFullRun ? 200 : 25) {
            let worker = try WorkerProcess("seed", node.broker.uri, "test/seeding/\(run)/\(round)")
            _ = try await worker.line("trying")
            // Connecting takes most of the first of them; the next names take some ten milliseconds each.
            try await Task.sleep(for: .microseconds(Int64.random(in: 0...120_000, using: &generator)))
            try await worker.killNow()
            let (tried, granted) = (
                worker.lines.filter { $0[0] == "trying" }, worker.lines.filter { $0[0] == "granted" }
            )
            let name = try LockName(try #require(tried.last)[1])
            names += try tried.map { try LockName($0[1]) }
            let before = granted.last.flatMap { $0[1] == name.string ? UInt64($0[2]) : nil }
            if before == nil { unfinished += 1 }

            // Both want it; each gets it, never both at once.
            let contenders = [Contender(first, name), Contender(second, name)]
            var open = contenders
            var last = before ?? 0
            while !open.isEmpty {
                try await eventually("a grant of \(name)") { open.contains { $0.outcome.current != nil } }
                // Long enough for a second token to be delivered, if there were one.
                if open.count == 2 { try await Task.sleep(for: .milliseconds(30)) }
                let holding = open.filter { $0.outcome.current != nil }
                #expect(holding.count == 1, "exactly one holder of \(name)")
                let lease = try await holding[0].lease()
                #expect(lease.fencingToken.rawValue > last)
                last = lease.fencingToken.rawValue
                #expect(try await holding[0].release() == nil)
                open.removeAll { $0 === holding[0] }
            }
        }
        print("\(unfinished) of \(LiveBroker.isFullRun ? 200 : 25) workers were killed within a first acquire")
        #expect(unfinished > 0, "else nothing was tested")
        await first.shutdown()
        await second.shutdown()
        node.broker.clean(names)
    }
}
