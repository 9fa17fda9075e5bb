import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 12: programs that use different kinds for one name meet on one queue, and the second is told of both.
    @Suite struct KindsMeetTests {}
}

extension LiveBrokerTests.KindsMeetTests {
    private static let kinds = [RabbitMQLocks.Mutex.singleActiveConsumer, .token].flatMap { mutex in
        [RabbitMQLocks.Durability.replicated, .fast].map { LockKind(mutex, $0) }
    }

    private func locks(_ kind: LockKind) throws -> RabbitMQLocks {
        try LiveBrokerTests.broker().locks("heartbeat=2&durability=\(kind.durability)", mutex: kind.mutex)
    }

    @Test(arguments: kinds) func theSecondKindIsRefused(_ first: LockKind) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try locks(first)
            let lease = Contender(locks, name)
            let token = try await lease.lease().fencingToken
            for second in Self.kinds where second != first {
                let others = try self.locks(second)
                let error = try #require(try await Contender(others, name, within: .seconds(20)).failure())
                #expect(error.code == .incompatible)
                #expect(error.message.contains("this program uses the \(second)"), "\(error)")
                #expect(names(first, to: second, in: error.message), "\(error)")
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

    /// Whether a message tells at least one thing in which the kind that is there differs, and nothing that is wrong.
    private func names(_ there: LockKind, to mine: LockKind, in message: String) -> Bool {
        guard let comma = message.firstRange(of: ", and the broker's queue ")?.upperBound else { return false }
        let rest = message[comma...]
        let isMutex = rest.contains("(\(there.mutex))") && !rest.contains("(\(mine.mutex))")
        let isDurability =
            rest.contains("durability=\(there.durability)") && !rest.contains("durability=\(mine.durability)")
        let isOther = rest.contains("another mutex or for") && rest.contains("durability=replicated")
        return isMutex || isDurability || isOther
    }

    /// What a program on 4.x leaves, seen from 3.x; from the other side only the words are known.
    @Test func aQueueOfAnotherMajorVersionIsRefused() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let objects = try broker.objects(name)
            let newer = BrokerBehaviour(BrokerVersion(4, 0, 0), .replicated)
            try broker.raw {
                try $0.declare(objects.queue, arguments: QueueArguments.singleActiveConsumer(newer).pairs)
            }
            let locks = try locks(LockKind(.singleActiveConsumer, .replicated))
            let error = try #require(try await Contender(locks, name, within: .seconds(20)).failure())
            #expect(error.code == .incompatible)
            #expect(error.message.contains("made for RabbitMQ 4.0 or newer"), "\(error)")
            #expect(error.message.contains("delete the queues \(objects.queue)"), "the way out: \(error)")
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
        let words = fault.otherKind(than: LockKind(.token, .replicated))
        #expect(words.contains("under RabbitMQ 3"))
        #expect(try fault.remedy(for: ObjectNames("job", vhost: "/")).contains("to migrate"))
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
