import Foundation
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// What the line rests on (protocol section 4.2), on raw frames and with the line's arguments: in which order what was
    /// delivered comes back, and how the broker counts it.
    @Suite struct ReturnOrderTests {
        /// Ways for a consumer to end. Each is one step of the queue.
        enum End: String, CaseIterable {
            /// A raw channel.close, without a cancel before it.
            case channelClose
            case connectionClose
            /// The end of the connection without a word of AMQP.
            case disconnect
            /// The kernel closes what a process had that was killed.
            case kill
        }
    }
}

extension LiveBrokerTests.ReturnOrderTests {
    /// A queue of the line, its name, and a client beside those that the test makes.
    private func withQueue(_ body: (_ uri: String, _ queue: String, _ client: RawClient) throws -> Void) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let queue = try broker.objects(name).queue
            try broker.raw { client in
                var arguments: [String: FieldValue] = ["x-queue-type": "quorum", "x-single-active-consumer": true]
                // Before 4.0 it would destroy what returns, from then on its absence does.
                if client.version >= BrokerVersion(4, 0, 0) { arguments["x-delivery-limit"] = -1 }
                try client.declare(queue, arguments: arguments)
                try body(broker.uri, queue, client)
            }
        }
    }

    private func end(_ client: RawClient, _ how: End) throws {
        switch how {
        case .channelClose: try client.closeChannel()
        case .connectionClose: client.closeConnection()
        case .disconnect: client.abort()
        case .kill: try Self.killOwner(of: client)
        }
    }

    // MARK: Order

    /// With 1 to 6 held and 7 to 9 ready, the next gets the held ones first, in order of delivery.
    @Test(arguments: End.allCases) func whatWasDeliveredComesFirst(_ how: End) async throws {
        for _ in 0..<4 {
            try await withQueue { uri, queue, next in
                try RawClient.run(uri) { holder in
                    try holder.consume(queue, prefetch: 6)
                    for number in 1...6 { try next.publish([UInt8(number)], to: queue) }
                    #expect(text(try holder.received(6)) == "1 2 3 4 5 6")
                    for number in 7...9 { try next.publish([UInt8(number)], to: queue) }
                    try next.consume(queue, prefetch: 20)
                    try end(holder, how)
                }
                #expect(text(try next.received(9)) == "1+1 2+1 3+1 4+1 5+1 6+1 7 8 9")
            }
        }
    }

    /// Acknowledgements between make no difference; what took their place is held, too.
    @Test(arguments: End.allCases) func theRestOfWhatWasDeliveredComesFirst(_ how: End) async throws {
        try await withQueue { uri, queue, next in
            try RawClient.run(uri) { holder in
                try holder.consume(queue, prefetch: 6)
                for number in 1...9 { try next.publish([UInt8(number)], to: queue) }
                let held = try holder.received(6)
                for index in [0, 2, 4] { try holder.acknowledge(held[index]) }
                #expect(text(try holder.received(3)) == "7 8 9")
                for number in 10...11 { try next.publish([UInt8(number)], to: queue) }
                try next.consume(queue, prefetch: 20)
                try end(holder, how)
            }
            #expect(text(try next.received(8)) == "2+1 4+1 6+1 7+1 8+1 9+1 10 11")
        }
    }

    /// Why a token is never put back by its holder: what comes between that and its return stands first ever after.
    @Test func aTokenThatIsPutBackLosesItsPlace() async throws {
        for _ in 0..<5 {
            try await withQueue { uri, queue, next in
                try RawClient.run(uri) { holder in
                    try holder.consume(queue, prefetch: 8)
                    try next.publish([1], to: queue)
                    let token = try holder.received(1)[0]
                    try next.publish([2], to: queue)
                    #expect(text(try holder.received(1)) == "2")
                    try holder.putBack(token)
                    #expect(text(try holder.received(1)) == "1+1")
                    try next.consume(queue, prefetch: 8)
                    try holder.closeChannel()
                }
                #expect(text(try next.received(2)) == "2+1 1+2")
            }
        }
    }

    /// Up to 4.2 behind what is ready, from then on before it.
    @Test func wherePuttingBackPuts() async throws {
        try await withQueue { uri, queue, next in
            try RawClient.run(uri) { holder in
                try holder.consume(queue, prefetch: 1)
                for number in 1...2 { try next.publish([UInt8(number)], to: queue) }
                let token = try holder.received(1)[0]
                try holder.putBack(token)
                let isBefore = next.version >= BrokerVersion(4, 3, 0)
                #expect(text(try holder.received(1)) == (isBefore ? "1+1" : "2"))
            }
        }
    }

    // MARK: The companion

    /// What the active consumer puts back comes to itself, with one more in its count, and to nobody else.
    @Test(arguments: [false, true]) func theCompanionComesBackToItself(_ isAnotherReady: Bool) async throws {
        try await withQueue { uri, queue, waiter in
            try RawClient.run(uri) { holder in
                // No room but for the two: a third stays ready.
                try holder.consume(queue, prefetch: 2)
                for number in 1...2 { try waiter.publish([UInt8(number)], to: queue) }
                var companion = try holder.received(2)[1]
                try waiter.consume(queue, prefetch: 8)
                var isThirdReady = false
                for round in 1...50 {
                    if isAnotherReady, !isThirdReady {
                        try waiter.publish([3], to: queue)
                        isThirdReady = true
                    }
                    try holder.putBack(companion)
                    companion = try holder.received(1)[0]
                    if companion.body == [3] {
                        isThirdReady = false
                        try holder.acknowledge(companion)
                        companion = try holder.received(1)[0]
                    }
                    #expect(text([companion]) == "2+\(round)")
                }
                #expect(try waiter.pending().isEmpty)
                try holder.closeChannel()
            }
            #expect(text(try waiter.received(2)) == "1+1 2+51")
        }
    }

    // MARK: The count

    @Test(arguments: End.allCases) func theCountRisesWithEveryReturn(_ how: End) async throws {
        try await withQueue { uri, queue, client in
            try client.publish([1], to: queue)
            for round in 0..<100 {
                try RawClient.run(uri) { holder in
                    #expect(count(try holder.firstDelivery(from: queue, prefetch: 1)) == Int64(round))
                    try end(holder, how)
                }
            }
        }
    }

    @Test func theCountRisesWhenOneChannelIsClosedAfterAnother() async throws {
        try await withQueue { uri, queue, client in
            try client.publish([1], to: queue)
            for round in 0..<100 {
                #expect(count(try client.firstDelivery(from: queue, prefetch: 1)) == Int64(round))
                try client.closeChannel()
                try client.openChannel()
            }
        }
    }

    // MARK: The exchange

    /// It stands in every delivery, also in those that came back; published straight into the queue, there is none.
    @Test(arguments: End.allCases) func theExchangeStandsInEveryDelivery(_ how: End) async throws {
        try await withQueue { uri, queue, next in
            let exchange = "mqlock-test-\(UInt64.random(in: 0 ... .max))"
            try next.bind(queue, to: exchange)
            try RawClient.run(uri) { holder in
                try holder.consume(queue, prefetch: 8)
                try next.publish([1], exchange: exchange, key: queue, properties: MessageProperties())
                try next.publish([2], to: queue)
                let held = try holder.received(2)
                #expect(held.map(\.exchange) == [exchange, ""])
                try holder.putBack(held[0])
                #expect(try holder.received(1).map(\.exchange) == [exchange])
                try next.consume(queue, prefetch: 8)
                try end(holder, how)
            }
            let returned = try next.received(2)
            #expect(text(returned) == "2+1 1+2")
            #expect(returned.map(\.exchange) == ["", exchange])
        }
    }

    // MARK: Support

    /// How often the broker has been given this message back.
    private func count(_ delivery: Delivery) -> Int64 {
        let headers = delivery.properties.headers
        return (headers["x-acquired-count"] ?? headers["x-delivery-count"])?.integer ?? 0
    }

    /// Such as "6+1 7": the number in each message, and the broker's count unless it is 0.
    private func text(_ deliveries: [Delivery]) -> String {
        deliveries.map { "\($0.body[0])" + (count($0) == 0 ? "" : "+\(count($0))") }.joined(separator: " ")
    }

    /// Leaves the connection to a process of its own and kills that.
    private static func killOwner(of client: RawClient) throws {
        var pid: pid_t = 0
        try client.leave { socket in
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_adddup2(&actions, socket, 0)
            var arguments = [strdup("sleep"), strdup("60"), nil]
            defer { for argument in arguments { free(argument) } }
            try #require(posix_spawnp(&pid, "sleep", &actions, nil, &arguments, environ) == 0)
        }
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }
}
