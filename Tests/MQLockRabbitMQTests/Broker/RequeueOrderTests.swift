import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// What the single active consumer rests on, on raw frames: a holder's end is one step of the queue.
    @Suite struct RequeueOrderTests {
        enum End: String, CaseIterable {
            case channelClose, disconnect
        }
    }
}

extension LiveBrokerTests.RequeueOrderTests {
    /// With 6 held and 3 and 4 ready, the next consumer gets 6, 3, 4.
    @Test(arguments: End.allCases) func theHeldTokenComesFirst(_ end: End) async throws {
        let broker = try LiveBrokerTests.broker()
        for _ in 0..<10 {
            try await broker.withName { name in
                let queue = try broker.objects(name).queue
                let arguments = QueueArguments.singleActiveConsumer(.init(BrokerVersion(3, 10, 8), .replicated))
                try broker.raw { next in
                    try next.declare(queue, arguments: arguments.pairs)
                    try RawClient.run(broker.uri) { holder in
                        try holder.consume(queue, prefetch: 1)
                        try next.publish([6], to: queue)
                        #expect(try holder.deliveries(1) == [[6]])
                        try next.publish([3], to: queue)
                        try next.publish([4], to: queue)
                        try next.consume(queue, prefetch: 8)
                        if end == .channelClose { try holder.closeChannel() } else { holder.abort() }
                    }
                    #expect(try next.deliveries(3) == [[6], [3], [4]])
                }
            }
        }
    }
}
