import Testing

@testable import MQLockRabbitMQ

extension BrokerConnectionTests {
    @Suite("Message flows")
    struct MessageFlowTests {
        @Test func publishConfirmConsumeNackAck() throws {
            let wire = try Wire(channels: 2)
            let connection = wire.connection
            let queue = Wire.uniqueName()
            try wire.declare(queue)
            try connection.confirmSelect(2)
            try wire.expect(.confirmSelectOK(channel: 2))
            try connection.basicQos(1, prefetch: 1)
            try wire.expect(.qosOK(channel: 1))

            let properties = MessageProperties(
                contentType: "application/x-test", headers: ["n": 7, "deep": .table(["a": .array([true, "x"])])],
                deliveryMode: 2, correlationID: "corr", replyTo: "reply", messageID: "id", timestamp: 1_800_000_000,
                type: "type", userID: connection.endpoint.user, appID: "app")
            try connection.basicPublish(
                2, exchange: "", routingKey: queue, mandatory: true, properties: properties, body: [1, 2, 3])
            try connection.basicPublish(2, exchange: "", routingKey: queue, body: [])
            // The persistent message may be confirmed after the transient one, or both at once.
            var confirmed: Set<UInt64> = []
            while confirmed != [1, 2] {
                guard case .ack(2, let tag, let multiple) = try wire.next() else {
                    throw ConnectionFailure(.timedOut("no confirm"))
                }
                confirmed.formUnion(multiple ? 1...tag : tag...tag)
            }

            try connection.basicConsume(1, queue, tag: "c1", arguments: ["x-priority": .int32(0)])
            try wire.expect(.consumeOK(channel: 1, tag: "c1"))
            let first = try wire.expectDelivery()
            #expect(
                first
                    == Delivery(
                        consumerTag: "c1", deliveryTag: 1, redelivered: false, exchange: "", routingKey: queue,
                        properties: properties, body: [1, 2, 3]))
            try connection.basicNack(1, deliveryTag: 1, requeue: true)
            let again = try wire.expectDelivery()
            #expect(again.redelivered && again.deliveryTag == 2 && again.body == [1, 2, 3])
            try connection.basicAck(1, deliveryTag: 2)
            let second = try wire.expectDelivery()
            #expect(second.body == [] && second.properties == MessageProperties())
            try connection.basicCancel(1, tag: "c1")
            try wire.expect(.cancelOK(channel: 1, tag: "c1"))
            try connection.basicReject(1, deliveryTag: 3, requeue: false)
            try connection.basicGet(1, queue)
            try wire.expect(.getEmpty(channel: 1))
            try wire.delete(queue)
            connection.close()
        }

        @Test func get() throws {
            let wire = try Wire()
            let queue = Wire.uniqueName()
            try wire.declare(queue)
            for byte in 0..<3 as Range<UInt8> {
                try wire.connection.basicPublish(1, exchange: "", routingKey: queue, body: [byte])
            }
            try wire.connection.basicGet(1, queue)
            let delivery = try wire.expectDelivery()
            #expect(delivery.consumerTag == nil && delivery.body == [0] && delivery.messageCount == 2)
            try wire.connection.queuePurge(1, queue)
            try wire.expect(.queuePurgeOK(channel: 1, messageCount: 2))
            try wire.delete(queue)
        }

        @Test func bindingsAndExchanges() throws {
            let wire = try Wire()
            let connection = wire.connection
            let (queue, exchange) = (Wire.uniqueName(), Wire.uniqueName("exchange"))
            try wire.declare(queue)
            try connection.exchangeDeclare(1, exchange, type: "direct", autoDelete: true)
            try wire.expect(.exchangeDeclareOK(channel: 1))
            try connection.queueBind(1, queue, exchange: exchange, routingKey: "k")
            try wire.expect(.queueBindOK(channel: 1))
            try connection.basicPublish(1, exchange: exchange, routingKey: "k", body: [5])
            try connection.basicGet(1, queue, noAck: true)
            #expect(try wire.expectDelivery().exchange == exchange)
            try connection.queueUnbind(1, queue, exchange: exchange, routingKey: "k")
            try wire.expect(.queueUnbindOK(channel: 1))
            try wire.delete(queue)
        }

        @Test func mandatoryToNowhereIsReturnedAndConfirmed() throws {
            let wire = try Wire()
            try wire.connection.confirmSelect(1)
            try wire.expect(.confirmSelectOK(channel: 1))
            let queue = Wire.uniqueName()
            try wire.connection.basicPublish(
                1, exchange: "", routingKey: queue, mandatory: true, properties: MessageProperties(messageID: "m"),
                body: [1])
            guard case .returned(1, let message) = try wire.next() else { throw ConnectionFailure(.timedOut("return")) }
            #expect(message.code == 312 && message.text == "NO_ROUTE" && message.routingKey == queue)
            #expect(message.properties.messageID == "m" && message.body == [1])
            try wire.expect(.ack(channel: 1, deliveryTag: 1, multiple: false))
        }

        @Test func rejectedPublishIsNacked() throws {
            let wire = try Wire()
            let queue = Wire.uniqueName()
            try wire.declare(queue, arguments: ["x-max-length": 1, "x-overflow": "reject-publish"])
            try wire.connection.confirmSelect(1)
            try wire.expect(.confirmSelectOK(channel: 1))
            var answers: [Inbound] = []
            for _ in 0..<2 {
                try wire.connection.basicPublish(1, exchange: "", routingKey: queue, body: [1])
                if let answer = try wire.next() { answers.append(answer) }
            }
            #expect(answers.first == .ack(channel: 1, deliveryTag: 1, multiple: false))
            // RabbitMQ sets `multiple` even for a single one.
            guard case .nack(1, 2, _) = answers.last else { throw ConnectionFailure(.timedOut("no nack")) }
            try wire.delete(queue)
        }

        @Test func consumerIsNotifiedThatItsQueueIsGone() throws {
            let wire = try Wire(channels: 2)
            let queue = Wire.uniqueName()
            try wire.declare(queue)
            try wire.connection.basicConsume(1, queue, tag: "victim")
            try wire.expect(.consumeOK(channel: 1, tag: "victim"))
            try wire.connection.queueDelete(2, queue)
            let answers = [try wire.next(), try wire.next()]
            #expect(answers.contains(.cancelledByBroker(channel: 1, tag: "victim")))
            #expect(answers.contains(.queueDeleteOK(channel: 2, messageCount: 0)))
        }

        @Test func aBrokenChannelCanBeOpenedAnew() throws {
            let wire = try Wire()
            let connection = wire.connection
            let queue = Wire.uniqueName()
            for _ in 0..<3 {
                try connection.queueDeclare(1, queue, passive: true)
                guard case .channelClosed(1, 404, let text, 50, 10) = try wire.next() else {
                    throw ConnectionFailure(.timedOut("no 404"))
                }
                #expect(text.contains("NOT_FOUND"))
                try connection.channelOpen(1)
                try wire.expect(.channelOpenOK(channel: 1))
            }
            try wire.declare(queue)
            try connection.queueDeclare(1, queue, durable: true, arguments: ["x-max-length": 3])
            guard case .channelClosed(1, 406, _, 50, 10) = try wire.next() else {
                throw ConnectionFailure(.timedOut("no 406"))
            }
            try connection.channelOpen(1)
            try wire.expect(.channelOpenOK(channel: 1))
            try wire.delete(queue)
        }

        @Test func exclusiveQueuesAreLocked() throws {
            let (first, second) = (try Wire(), try Wire())
            let queue = Wire.uniqueName()
            try first.connection.queueDeclare(1, queue, exclusive: true)
            try first.expect(.queueDeclareOK(channel: 1, queue: queue, messageCount: 0, consumerCount: 0))
            try second.connection.queueDeclare(1, queue, exclusive: true)
            guard case .channelClosed(1, 405, _, _, _) = try second.next() else {
                throw ConnectionFailure(.timedOut("no 405"))
            }
            first.connection.abort()
            let deadline = ContinuousClock.now + .seconds(5)
            while true {
                try second.connection.channelOpen(1)
                try second.expect(.channelOpenOK(channel: 1))
                try second.connection.queueDeclare(1, queue, exclusive: true)
                if case .queueDeclareOK = try second.next() { break }
                try #require(ContinuousClock.now < deadline)
            }
        }

        @Test func closingAChannelRequeues() throws {
            let wire = try Wire(channels: 2)
            let queue = Wire.uniqueName()
            try wire.declare(queue)
            try wire.connection.basicPublish(1, exchange: "", routingKey: queue, body: [7])
            try wire.connection.basicConsume(1, queue, tag: "a", nowait: true)
            #expect(try wire.expectDelivery().body == [7])
            try wire.connection.channelClose(1)
            try wire.expect(.channelCloseOK(channel: 1))
            try wire.connection.basicGet(2, queue)
            #expect(try wire.expectDelivery().redelivered)
            try wire.delete(queue, on: 2)
        }

        @Test func aMisuseClosesTheConnection() throws {
            let wire = try Wire()
            // Channel 9 was never opened: 504 CHANNEL_ERROR closes the whole connection.
            try wire.connection.basicQos(9, prefetch: 1)
            let failure = #expect(throws: ConnectionFailure.self) { while try wire.next() != nil {} }
            guard case .brokerClosed(504, _) = failure?.kind else {
                throw failure ?? ConnectionFailure(.heartbeatTimeout)
            }
            #expect(throws: try #require(failure)) { try wire.connection.basicQos(1, prefetch: 1) }
            #expect(throws: try #require(failure)) { try wire.connection.readAvailable { _ in } }
        }

        @Test func badArgumentsLeaveTheConnectionAlone() throws {
            let wire = try Wire()
            let connection = wire.connection
            let long = String(repeating: "x", count: 256)
            let calls: [() throws -> Void] = [
                { try connection.channelOpen(0) }, { try connection.channelOpen(connection.channelMax + 1) },
                { try connection.queueDeclare(1, long) }, { try connection.basicConsume(1, "q", tag: long) },
                { try connection.queueDeclare(1, "q", arguments: [long: 1]) },
                { try connection.queueDeclare(1, "q", arguments: ["x": .bytes(.init(repeating: 0, count: 140_000))]) },
                { try connection.basicPublish(1, exchange: "", routingKey: long, body: []) },
                {
                    try connection.basicPublish(
                        1, exchange: "", routingKey: "q", properties: MessageProperties(type: long), body: [])
                },
            ]
            for call in calls {
                let failure = #expect(throws: ConnectionFailure.self) { try call() }
                guard case .configuration = failure?.kind else {
                    Issue.record("\(String(describing: failure))")
                    continue
                }
            }
            try connection.basicQos(1, prefetch: 1)
            try wire.expect(.qosOK(channel: 1))
        }

        @Test func anotherThreadBreaksItOff() throws {
            let wire = try Wire()
            let socket = wire.connection.socket
            _ = LoopThread.start(name: "breaker") { socket.shutdownSocket() }
            #expect(throws: ConnectionFailure.self) { while try wire.next() == nil {} }
            #expect(wire.connection.failure != nil)
            socket.shutdownSocket()
        }

        @Test func heartbeatsKeepAnIdleConnectionAlive() throws {
            var endpoint = try TestBroker.endpoint()
            endpoint.heartbeat = 1
            let wire = try Wire(endpoint)
            #expect(try wire.next(within: .seconds(4)) == nil)
            try wire.connection.basicQos(1, prefetch: 1)
            try wire.expect(.qosOK(channel: 1))
        }
    }
}
