import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// Nothing grows with use: memory, descriptors, threads, and what there is on the broker.
    @Suite(.enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1")) struct EnduranceTests {}
}

extension TortureTests.EnduranceTests {
    private struct Cost: CustomStringConvertible {
        var kilobytes: Int
        var descriptors: Int
        var threads: Int
        var description: String { "\(kilobytes) kB, \(descriptors) descriptors, \(threads) threads" }
    }

    private func cycle(_ worker: WorkerProcess, _ count: Int) async throws -> Cost {
        let before = worker.lines.count
        worker.tell("\(count)")
        let words = try await worker.line("cycled", after: before, within: .seconds(300))
        let numbers = words.dropFirst().compactMap { Int($0) }
        return Cost(kilobytes: numbers[0], descriptors: numbers[1], threads: numbers[2])
    }

    /// What the broker counts: connections, channels, queues, and the messages of the one lock.
    private func objects(_ broker: LiveBroker, _ name: LockName) async throws -> [Int] {
        func lines(_ arguments: String...) async throws -> [Substring] {
            try await Program.run(try #require(broker.control), ["-q", "--no-table-headers"] + arguments)
                .split(separator: "\n").filter { $0.first?.isNumber == true }
        }
        let connections = try await lines("list_connections", "port").count
        let channels = try await lines("list_channels", "number").count
        let queues = try await lines("list_queues", "messages").count
        // rabbitmqctl's number of messages is some seconds old.
        let queue = try broker.objects(name).queue
        let messages = try broker.raw { try $0.counts(queue)?.messages ?? 0 }
        return [connections, channels, queues, messages]
    }

    @Test func tenThousandCyclesAndAHundredReconnects() async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let proxy = try FaultyProxy(to: node.port)
            let worker = try WorkerProcess("churn", "amqp://guest:guest@127.0.0.1:\(proxy.port)", name)
            _ = try await worker.line("ready")
            // Buffers, pools and the runtime's own threads are there after this.
            _ = try await cycle(worker, 1000)
            let (start, startObjects) = (try await cycle(worker, 1), try await objects(node.broker, name))
            let afterCycles = try await cycle(worker, 10_000)
            print("before: \(start); after 10,000 cycles: \(afterCycles)")
            #expect(afterCycles.kilobytes < start.kilobytes + 4096)
            #expect(afterCycles.descriptors <= start.descriptors)
            #expect(afterCycles.threads <= start.threads + 2)
            let afterObjects = try await objects(node.broker, name)
            #expect(zip(afterObjects, startObjects).allSatisfy { $0 <= $1 }, "\(startObjects), then \(afterObjects)")

            for _ in 1...10 {
                proxy.change { $0.cut = true }
                _ = try await cycle(worker, 3)
            }
            // A new connection has all its spare channels; an old one has used some.
            let (warm, warmObjects) = (try await cycle(worker, 1), try await objects(node.broker, name))
            for _ in 1...100 {
                proxy.change { $0.cut = true }
                _ = try await cycle(worker, 3)
            }
            let end = try await cycle(worker, 1)
            print("before: \(warm); after 100 reconnects: \(end)")
            #expect(end.kilobytes < warm.kilobytes + 4096)
            #expect(end.descriptors <= warm.descriptors + 2)
            #expect(end.threads <= warm.threads + 2)
            // The broker notices the last cut some time after the client.
            try await eventually(within: .seconds(60), "the broker's objects of before") {
                let now = try await objects(node.broker, name)
                return zip(now, warmObjects).allSatisfy { $0 <= $1 }
            }
        }
    }

    /// Past the broker's delivery-acknowledgement timeout five times over, by a mutex that renews its holds.
    @Test func aHoldOutlivesTheAcknowledgementTimeout() async throws {
        let timeout = Duration.seconds(60)
        try await withAcknowledgementTimeout(timeout, on: .shared()) { broker in
            let locks = try MutexUnderTest.allCases.map { mutex in
                try broker.locks {
                    mutex.configure(&$0)
                    $0.acknowledgementTimeout = timeout
                }
            }.filter { $0.capabilities.maximumHold == nil }
            try #require(!locks.isEmpty)
            let name = try LockName("test/endurance/\(UInt64.random(in: 0 ... .max))")
            let held = try locks.indices.map { Contender(locks[$0], try LockName("\(name)/\($0)")) }
            for contender in held { _ = try await contender.lease() }
            try await Task.sleep(for: timeout * 5 + .seconds(10))
            for contender in held {
                #expect(try await contender.lease().isValid)
                #expect(try await contender.release() == nil)
            }
            for program in locks { await program.shutdown() }
            broker.clean(held.map(\.name))
        }
    }
}
