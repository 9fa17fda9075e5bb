import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 2: tokens grow, whatever is done to the queues.
    @Suite struct GrowingTokenTests {}
}

extension LiveBrokerTests.GrowingTokenTests {
    enum Deletion: String, CaseIterable, CustomTestStringConvertible {
        case both, registerFirst, token, register
        var testDescription: String { rawValue }

        func queues(_ objects: ObjectNames) -> [String] {
            switch self {
            case .both: [objects.queue, objects.register]
            case .registerFirst: [objects.register, objects.queue]
            case .token: [objects.queue]
            case .register: [objects.register]
            }
        }

        func carryOut(_ broker: LiveBroker, _ name: LockName) throws {
            let objects = try broker.objects(name)
            for queue in queues(objects) { try broker.raw { try $0.delete(queue) } }
        }
    }

    @Test func overReleases() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let providers = [try broker.locks(), try broker.locks(), try broker.locks()]
            var last: FencingToken?
            for round in 0..<60 {
                let held = try await providers[round % 3].acquire(name, within: .seconds(20))
                #expect(last.map { $0 < held.lease.fencingToken } ?? true)
                last = held.lease.fencingToken
                try await held.release()
            }
            for locks in providers { await locks.shutdown() }
        }
    }

    /// Nobody contends when the queues go; asked for by providers that knew them, and by one that does not.
    @Test(arguments: Deletion.allCases) func idle(_ deletion: Deletion) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (old, fresh) = (try broker.locks(), try broker.locks())
            for first in [old, fresh] {
                let before = try await old.acquire(name, within: .seconds(20))
                let token = before.lease.fencingToken
                try await before.release()
                try deletion.carryOut(broker, name)
                let after = try await first.acquire(name, within: .seconds(20))
                #expect(after.lease.fencingToken > token)
                #expect(after.lease.isValid)
                try await after.release()
            }
            await old.shutdown()
            await fresh.shutdown()
        }
    }

    /// A holder is told, and waiters get the lock all the same: one after the other, with larger numbers.
    @Test(arguments: Deletion.allCases) func underHolderAndWaiters(_ deletion: Deletion) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let providers = [try broker.locks(), try broker.locks(), try broker.locks()]
            let holder = Contender(providers[0], name)
            let lease = try await holder.lease()
            let waiters = providers.dropFirst().map { Contender($0, name) }
            try await broker.waitForLine(of: name, 2)
            try deletion.carryOut(broker, name)
            let reason = try await lease.lossReason()
            #expect(reason?.kind == .queueDeleted, "\(String(describing: reason))")
            #expect(try await holder.release()?.code == .lost)
            var last = lease.fencingToken
            var open = Array(waiters)
            while !open.isEmpty {
                try await eventually("a waiter's grant") { open.contains { $0.outcome.current != nil } }
                let granted = open.filter { $0.outcome.current != nil }
                #expect(granted.count == 1, "one holder at a time")
                let next = try await granted[0].lease()
                #expect(next.fencingToken > last)
                last = next.fencingToken
                #expect(try await granted[0].release() == nil)
                open.removeAll { $0 === granted[0] }
            }
            for locks in providers { await locks.shutdown() }
        }
    }
}
