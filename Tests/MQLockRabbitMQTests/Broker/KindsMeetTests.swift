import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 12: programs that use different kinds for one name meet on one queue, and the second is told of both.
    @Suite struct KindsMeetTests {}
}

extension LiveBrokerTests.KindsMeetTests {
    private func locks(_ mutex: RabbitMQLocks.Mutex) throws -> RabbitMQLocks {
        try LiveBrokerTests.broker().locks(mutex: mutex)
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases) func theSecondKindIsRefused(
        _ first: RabbitMQLocks.Mutex
    ) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try locks(first)
            let lease = Contender(locks, name)
            let token = try await lease.lease().fencingToken
            for second in RabbitMQLocks.Mutex.allCases where second != first {
                let others = try self.locks(second)
                let error = try #require(try await Contender(others, name, within: .seconds(20)).failure())
                #expect(error.code == .incompatible)
                #expect(error.message.contains("this program uses the \(second.title)"), "\(error)")
                #expect(error.message.contains("the broker's queue was made for the \(first.title)"), "\(error)")
                await others.shutdown()
            }
            #expect(try await lease.lease().isValid, "who came first is not disturbed")
            #expect(try await lease.release() == nil)
            let again = Contender(locks, name)
            #expect(try await again.lease().fencingToken > token)
            #expect(try await again.release() == nil)
            await locks.shutdown()
        }
    }

    /// A session that knows the queue consumes without a look. When it has become another mutex's meanwhile, nothing of that
    /// is taken off, and the contender is refused.
    @Test func aKnownNameThatHasBecomeAnothers() async throws {
        let broker = try LiveBrokerTests.broker()
        for (first, second) in [
            (RabbitMQLocks.Mutex.singleActiveConsumer, RabbitMQLocks.Mutex.token), (.token, .singleActiveConsumer),
        ] {
            try await broker.withName { name in
                let (one, other) = (try locks(first), try locks(second))
                try await one.acquire(name, within: .seconds(20)).release()
                let objects = try broker.objects(name)
                for queue in [objects.queue, objects.register] { try broker.raw { try $0.delete(queue) } }
                let held = try await other.acquire(name, within: .seconds(20))
                let token = held.lease.fencingToken
                try await held.release()
                let error = try #require(try await Contender(one, name, within: .seconds(20)).failure())
                #expect(error.code == .incompatible, "\(error)")
                let again = try await other.acquire(name, within: .seconds(20))
                #expect(again.lease.fencingToken > token)
                try await again.release()
                await one.shutdown()
                await other.shutdown()
            }
        }
    }

    /// On a broker before 4.0 what a program on 4.x would leave; on a newer one what was left by the time before, as after
    /// an upgrade from 3.13. The way that the error names is walked to its end.
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func aQueueOfAnotherMajorVersionIsRefused(
        _ mutex: RabbitMQLocks.Mutex
    ) async throws {
        let broker = try LiveBrokerTests.broker()
        let isNewer = try broker.raw { $0.version } >= BrokerVersion(4, 0, 0)
        let other = BrokerBehavior(isNewer ? BrokerVersion(3, 13, 0) : BrokerVersion(4, 0, 0))
        try await broker.withName { name in
            let objects = try broker.objects(name)
            let left = try broker.raw { raw in
                if mutex == .token {
                    let nonce = Nonce()
                    try raw.declare(objects.register, arguments: QueueArguments.register(nonce).pairs)
                    try raw.declare(objects.queue, arguments: QueueArguments.token(other).pairs)
                    return [objects.queue, objects.register]
                }
                let line = mutex == .exclusiveQueue ? objects.line : objects.queue
                try raw.declare(line, arguments: QueueArguments.line(other).pairs)
                return [line]
            }
            let locks = try locks(mutex)
            let error = try #require(try await Contender(locks, name, within: .seconds(20)).failure())
            #expect(error.code == .incompatible)
            #expect(
                error.message.contains(isNewer ? "made under RabbitMQ 3" : "made for RabbitMQ 4.0 or newer"), "\(error)"
            )
            for queue in left {
                #expect(error.message.contains(queue), "the way out: \(error)")
                try broker.raw { try $0.delete(queue) }
            }
            let again = Contender(locks, name, within: .seconds(20))
            _ = try await again.lease()
            #expect(try await again.release() == nil)
            await locks.shutdown()
        }
    }

    @Test func aQueueFromBefore4IsRefusedWithTheWayToMigrate() throws {
        // In the words of 3.10.8 for the same difference the other way round; those of 4.x are from its source.
        let fault = ChannelFault(
            code: 406,
            text: """
                PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'mqlock.v1/job' in vhost '/': \
                received the value '-1' of type 'long' but current is none
                """)
        let words = fault.otherKind(than: .token)
        #expect(words.contains("under RabbitMQ 3"))
        for mutex in RabbitMQLocks.Mutex.allCases {
            #expect(try fault.remedy(for: ObjectNames("job", vhost: "/"), of: mutex, "/").contains("to migrate"))
        }
    }

    /// The same code is the answer when the broker allows no more queues.
    @Test func aLimitIsNoOtherKind() {
        #expect(
            !ChannelFault(code: 406, text: "PRECONDITION_FAILED - queue limit in vhost '/' (10) is reached").isOtherKind
        )
    }

    /// A lock's name is anybody's to choose, and is in the broker's words.
    @Test func aQueueNameForgesNothing() throws {
        let text = """
            PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'mqlock.v1/inequivalent arg \
            'x-delivery-limit' but current is none' in vhost '/': received 'classic' but current is 'quorum'
            """
        let argument = try #require(InequivalentArgument(text))
        #expect(argument.name == "x-queue-type")
        #expect(argument.isSet)
        #expect(InequivalentArgument("PRECONDITION_FAILED - delivery acknowledgement timed out") == nil)
    }
}
