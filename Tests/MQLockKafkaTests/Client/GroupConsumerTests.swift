import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    @Suite struct GroupConsumerTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        private func consumer(_ topic: String, _ broker: LiveKafka? = nil, name: String? = nil) throws -> GroupConsumer
        {
            let own = [
                ("group.id", topic), ("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "300"),
                ("max.poll.interval.ms", "12000"), ("partition.assignment.strategy", "range"),
                ("enable.auto.commit", "false"),
            ]
            var connection = (broker ?? self.broker).connection
            if let name { connection.clientID = name }
            return try GroupConsumer(ClientSettings(connection: connection, own: own), topic: topic)
        }

        /// The first event for which `pick` has an answer.
        private func wait<Answer>(
            _ consumer: GroupConsumer, _ pick: (GroupConsumer.Event) throws -> Answer?
        ) throws -> Answer? {
            let deadline = ContinuousClock.now.advanced(by: .seconds(30))
            while ContinuousClock.now < deadline {
                if let event = consumer.poll(for: .milliseconds(100)), let answer = try pick(event) { return answer }
            }
            return nil
        }

        private func close(_ consumer: GroupConsumer) throws {
            try consumer.beginClosing()
            let deadline = ContinuousClock.now.advanced(by: .seconds(30))
            while !consumer.isClosed, ContinuousClock.now < deadline {
                // Asked now, the library may never answer.
                #expect(throws: KafkaFailure.self) { try consumer.metadata() }
                if case .revoked? = consumer.poll(for: .milliseconds(50)) { try consumer.unassign() }
            }
            #expect(consumer.isClosed)
        }

        @Test func joinsCommitsAndLeaves() async throws {
            try await offPool {
                let topic = try broker.makeTopic(partitions: 3)
                let consumer = try consumer(topic)
                #expect(try !consumer.metadata().membership.isComplete)
                try consumer.subscribe()
                let assigned = try wait(consumer) { if case .assigned(let all, _) = $0 { all } else { nil } }
                #expect(assigned?.sorted() == [0, 1, 2])
                let membership = try consumer.metadata().membership
                #expect(membership.isComplete)
                try consumer.assign(assigned ?? [])
                try consumer.commit([1: 17], id: 5)
                let answer = try wait(consumer) {
                    if case .committed(let id, let failure) = $0 { (id, failure) } else { nil }
                }
                #expect(answer?.0 == 5 && answer?.1 == nil)
                #expect(try consumer.metadata().membership == membership)
                let reader = try LogReader(broker.connection, group: topic, .committed)
                #expect(try reader.groupOffsets(topic, [0, 1], within: .seconds(10)) == [0: nil, 1: 17])
                try close(consumer)
            }
        }

        @Test func wakesFromAnotherThread() async throws {
            try await offPool {
                let consumer = try consumer(broker.makeTopic(partitions: 1))
                let start = ContinuousClock.now
                #expect(DetachedThread.start { consumer.wake() } == 0)
                while ContinuousClock.now < start.advanced(by: .seconds(20)), consumer.poll(for: .seconds(60)) != nil {}
                #expect(ContinuousClock.now < start.advanced(by: .seconds(30)), "nothing woke the poll")
            }
        }

        @Test func anUnknownTopicIsReportedAtOnce() async throws {
            try await offPool {
                let consumer = try consumer(broker.nameNoTopic())
                try consumer.subscribe()
                let failure = try wait(consumer) { if case .failed(let failure) = $0 { failure } else { nil } }
                #expect(failure?.code.isUnknownTopic == true)
                #expect(failure?.code.needsAttention == .incompatible)
                try close(consumer)
            }
        }

        /// Here because the broker knows no authentication at all; wrong credentials take the same way.
        @Test func aFailedAuthenticationIsReportedAtOnce() async throws {
            try await offPool {
                let topic = try broker.makeTopic(partitions: 1)
                var connection = broker.connection
                connection.sasl = .init(.scramSHA256, user: "nobody", password: "wrong")
                let consumer = try GroupConsumer(
                    ClientSettings(connection: connection, own: [("group.id", topic)]), topic: topic)
                try consumer.subscribe()
                let failure = try wait(consumer) {
                    if case .failed(let failure) = $0, failure.code.needsAttention != nil { failure } else { nil }
                }
                #expect(failure?.code.needsAttention == .accessRefused)
                #expect(failure?.text.contains("wrong") == false)
            }
        }

        @Test(.enabled(if: LiveKafka.isMock, "the error is injected into the embedded Kafka"))
        func aSessionTimeoutThatTheBrokerRefusesIsReportedAtOnce() async throws {
            try await offPool {
                let own = try OwnKafka()
                defer { withExtendedLifetime(own) {} }
                let topic = try own.broker.makeTopic(partitions: 1)
                try own.broker.fault("errors", "JoinGroup", "INVALID_SESSION_TIMEOUT", "50")
                let consumer = try consumer(topic, own.broker)
                try consumer.subscribe()
                let failure = try wait(consumer) { if case .failed(let failure) = $0 { failure } else { nil } }
                #expect(failure?.code.needsAttention == .invalidConfiguration)
                #expect(failure?.isFatal == false)
            }
        }

        @Test(.enabled(if: LiveKafka.isMock, "the error is injected into the embedded Kafka"))
        func aLossByTheBrokerIsReportedAsLost() async throws {
            try await offPool {
                let own = try OwnKafka()
                defer { withExtendedLifetime(own) {} }
                let topic = try own.broker.makeTopic(partitions: 1)
                let consumer = try consumer(topic, own.broker)
                try consumer.subscribe()
                let assigned = try wait(consumer) { if case .assigned(let all, _) = $0 { all } else { nil } }
                try consumer.assign(assigned ?? [])
                try own.broker.fault("errors", "Heartbeat", "UNKNOWN_MEMBER_ID")
                let lost = try wait(consumer) { if case .revoked(_, let lost) = $0 { lost } else { nil } }
                #expect(lost == true)
                try consumer.unassign()
                try close(consumer)
            }
        }

        /// The library's threads and everything else of a client are gone once it is dropped, also unclosed.
        @Test func clientsAreDestroyed() async throws {
            let name = "counted-\(UInt64.random(in: 0 ... .max))"
            do {
                let topic = try broker.makeTopic(partitions: 1)
                let open = try (0..<5).map { _ in try consumer(topic, broker, name: name) }
                try open.forEach { try $0.subscribe() }
                #expect(ClientHandle.count(named: name) == 5)
            }
            try await eventually("the end of all clients") { ClientHandle.count(named: name) == 0 }
        }
    }
}
