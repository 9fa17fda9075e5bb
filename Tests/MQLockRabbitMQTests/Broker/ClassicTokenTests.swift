import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// The token in a classic queue, as far as the broker counts for it.
    @Suite struct ClassicTokenTests {}
}

extension LiveBrokerTests.ClassicTokenTests {
    private func locks() throws -> RabbitMQLocks { try LiveBrokerTests.broker().locks("heartbeat=2&durability=fast") }

    /// Each hand-over adds one step, by `basic.get` and by a consumer, and none is minted for it.
    @Test func everyHandOverIsCounted() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (first, second) = (try locks(), try locks())
            var holder = Contender(first, name)
            let start = try await holder.lease().fencingToken.rawValue
            for round in 1...20 {
                let waiter = Contender(round % 2 == 0 ? first : second, name)
                if round % 4 < 2 { try await broker.waitForLine(of: name, 1) }
                #expect(try await holder.release() == nil)
                let token = try await waiter.lease().fencingToken.rawValue
                // A try in between that comes too late is put back through the loop, and counted.
                #expect(token >= start + UInt64(round) * TokenNumber.step)
                #expect(token < start + 1000 * TokenNumber.step, "minted without need: the clock is far above")
                holder = waiter
            }
            #expect(try await holder.release() == nil)
            await first.shutdown()
            await second.shutdown()
        }
    }

    /// A token whose count has gone back, and that is not marked as redelivered: nobody can know why. Loudly.
    @Test func aCountThatGoesBackIsReported() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (knowing, stranger) = (try locks(), try locks())
            for _ in 0..<5 {
                let contender = Contender(knowing, name)
                _ = try await contender.lease()
                #expect(try await contender.release() == nil)
            }
            let queue = try broker.objects(name).queue
            let token = try #require(try broker.raw { try $0.peek(queue) })
            try broker.raw { client in
                try client.purge(queue)
                try client.publish(token, to: queue)
            }
            let error = try #require(try await Contender(knowing, name, within: .seconds(20)).failure())
            #expect(error.code == .tokenRegression, "\(error)")
            // It is given back, for programs that know nothing better.
            let contender = Contender(stranger, name)
            #expect(try await contender.lease().isValid)
            #expect(try await contender.release() == nil)
            await knowing.shutdown()
            await stranger.shutdown()
        }
    }
}
