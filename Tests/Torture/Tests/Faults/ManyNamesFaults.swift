import MQLock
import MQLockRabbitMQ
import Testing

extension TortureTests.FaultTests {
    /// Ten names of each mutex held and each waited for, in few sessions: all go to their waiters, every number grows.
    @Test func manyNames() async throws {
        let node = try await PrivateNode.shared()
        let programs = try MutexUnderTest.allCases.map { mutex in
            (
                holders: try node.broker.locks { mutex.configure(&$0) },
                waiters: try node.broker.locks { mutex.configure(&$0) }
            )
        }
        let names = try programs.indices.map { index in
            try (1...10).map { try LockName("test/many/\(index)/\($0)/\(UInt64.random(in: 0 ... .max))") }
        }
        defer { node.broker.clean(names.flatMap(\.self)) }
        func contend(_ pick: ((holders: RabbitMQLocks, waiters: RabbitMQLocks)) -> RabbitMQLocks) -> [Contender] {
            zip(programs, names).flatMap { program, names in names.map { Contender(pick(program), $0) } }
        }
        let held = contend { $0.holders }
        var tokens: [LockName: FencingToken] = [:]
        for contender in held { tokens[contender.name] = try await contender.lease().fencingToken }
        let before = try await node.broker.lines()
        let waiting = contend { $0.waiters }
        try await eventually(within: .seconds(60), every: .milliseconds(50), "all waiters in line") {
            let now = try await node.broker.lines()
            return waiting.allSatisfy { now.count(for: $0.name) > before.count(for: $0.name) }
        }
        try await Self.outliveYoungQueues()
        try await node.crash()
        for contender in held {
            // First told: a release that is quicker than the news finds a lease that stands, and ends it in good order.
            #expect(try await contender.lease().lossReason()?.kind == .connectionClosed)
            #expect(try await contender.release()?.code == .lost)
        }
        try await node.start()
        for contender in waiting {
            let lease = try await contender.lease()
            #expect(lease.fencingToken > (try #require(tokens[contender.name])), "\(contender.name)")
            #expect(try await contender.release() == nil)
        }
        for program in programs {
            await program.holders.shutdown()
            await program.waiters.shutdown()
        }
    }
}
