import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

extension TortureTests {
    /// The mutexes whose waiters stand in a line of consumers, when the holder's process or the broker goes.
    @Suite struct SingleActiveConsumerFaultTests {}
}

extension TortureTests.SingleActiveConsumerFaultTests {
    @Test(arguments: [RabbitMQLocks.Mutex.singleActiveConsumer, .exclusiveQueue])
    func aKilledHolderIsSucceededAtOnce(_ mutex: RabbitMQLocks.Mutex) async throws {
        let node = try await PrivateNode.shared()
        var measured: [Duration] = []
        for _ in 1...3 {
            try await node.broker.withName { name in
                let holder = try WorkerProcess("hold", node.broker.uri, name, mutex.description)
                let first = try await holder.line("granted")
                let waiter = try WorkerProcess("hold", node.broker.uri, name, mutex.description)
                // A quorum queue does not count those who wait behind its active consumer.
                try await Task.sleep(for: .milliseconds(500))
                let killed = try await holder.killNow()
                let second = try await waiter.line("granted")
                measured.append(.nanoseconds(try #require(Int64(second[2])) - killed))
                #expect(try #require(UInt64(second[1])) > #require(UInt64(first[1])), "tokens grow")
                try await waiter.killNow()
            }
        }
        print("\(mutex), hand-over after SIGKILL: \(measured.map(\.readable).joined(separator: ", "))")
        #expect(try #require(measured.min()) <= .milliseconds(100))
    }

    @Test(arguments: [false, true], [RabbitMQLocks.Mutex.singleActiveConsumer, .exclusiveQueue])
    func holdersAreToldAndWaitersSurviveARestart(_ crash: Bool, _ mutex: RabbitMQLocks.Mutex) async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let providers = try (0..<3).map { _ in
                try node.broker.locks("heartbeat=1", mutex: mutex)
            }
            let holder = Contender(providers[0], name)
            let lease = try await holder.lease()
            let waiters = providers.dropFirst().map { Contender($0, name) }
            // A queue younger than that may come back without a leader after a crash (3.10.8).
            try await Task.sleep(for: .seconds(2))
            if crash { try await node.crash() } else { try await node.stop() }
            #expect(try await lease.lossReason()?.kind == .connectionClosed)
            #expect(try await holder.release()?.code == .lost)
            try await node.start()
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
