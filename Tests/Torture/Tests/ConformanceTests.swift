import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// The rules of the lock protocol, put to each mutex on a real broker.
    @Suite struct ConformanceTests {}
}

extension TortureTests.ConformanceTests {
    @Test func theTokenMutexConforms() async throws { try await check(.token) }

    @Test func theSingleActiveConsumerConforms() async throws { try await check(.singleActiveConsumer) }

    @Test func theExclusiveQueueConforms() async throws { try await check(.exclusiveQueue) }

    private func check(_ mutex: RabbitMQLocks.Mutex) async throws {
        let node = try await PrivateNode.shared()
        let report = await checkConformance(of: subject(mutex, on: node))
        print(report)
        #expect(report.hasPassed, "\(report)")
        let leftOut = report.entries.compactMap { entry in
            if case .leftOut(let why) = entry.outcome { "\(entry.check): \(why)" } else { nil }
        }
        // A frame cannot get lost within a TCP stream that goes on; a provider in the tests' own process cannot be
        // stopped alone (HolderFaultTests stops one in another); and the broker counts no requests.
        #expect(leftOut.count == 3, "\(leftOut)")
    }

    /// Every provider has a proxy of its own between it and the broker.
    private func subject(_ mutex: RabbitMQLocks.Mutex, on node: PrivateNode) -> ConformanceSubject<RabbitMQLocks> {
        let proxies = Locked<[ObjectIdentifier: FaultyProxy]>([:])
        // The broker hands on two to three heartbeats after the last byte. Less than three, because parts of it have to be
        // shorter than a proof (1.8 heartbeats); where it is a limit for a wait, the suite doubles it.
        var subject = ConformanceSubject<RabbitMQLocks>(handOverLimit: .seconds(5)) { options in
            let proxy = try FaultyProxy(to: node.port)
            let behind = LiveBroker(uri: "amqp://guest:guest@127.0.0.1:\(proxy.port)", control: nil)
            let locks = try behind.locks("heartbeat=2", mutex: mutex, observer: options.observer) { configuration in
                configuration.maximumWaiters = options.maximumWaiters ?? configuration.maximumWaiters
            }
            proxies.withLock { $0[ObjectIdentifier(locks)] = proxy }
            return locks
        }
        let change: @Sendable (RabbitMQLocks, (inout FaultyProxy.Faults) -> Void) -> Void = { locks, body in
            proxies.withLock { $0[ObjectIdentifier(locks)] }?.change(body)
        }
        subject.close = { locks in
            change(locks) { ($0.silentToBroker, $0.silentToClient) = (false, false) }
            await locks.shutdown()
            proxies.withLock { $0[ObjectIdentifier(locks)] = nil }
        }
        subject.faults.endSession = { change($0) { $0.cut = true } }
        subject.faults.silence = { change($0) { ($0.silentToBroker, $0.silentToClient) = (true, true) } }
        subject.faults.heal = { change($0) { ($0.silentToBroker, $0.silentToClient) = (false, false) } }
        subject.faults.holdAnswers = { change($0) { $0.silentToClient = true } }
        subject.faults.passAnswers = { change($0) { $0.silentToClient = false } }
        subject.faults.holdRequests = { change($0) { $0.silentToBroker = true } }
        subject.faults.restartBroker = {
            try await node.stop()
            try await node.start()
        }
        subject.faults.deleteObjects = { name in
            let objects = try node.broker.objects(name)
            if mutex == .exclusiveQueue {
                // Of another connection's queue an administrator only may say so, and it is there while the lock is held.
                let isHeld = try node.broker.raw { client in
                    do { return try client.counts(objects.queue) != nil } catch { return true }
                }
                if isHeld { try await node.broker.ctl("delete_queue", objects.queue) }
                try node.broker.raw { client in
                    try client.delete(objects.line)
                    try client.delete(objects.fence)
                }
                return
            }
            try node.broker.raw { client in
                try client.delete(objects.queue)
                if mutex == .token { try client.delete(objects.register) }
            }
        }
        subject.faults.occupy = { name in
            let queue = try node.broker.objects(name).queue
            try node.broker.raw { try $0.declare(queue, arguments: ["x-queue-type": "classic"]) }
        }
        subject.faults.contenders = { name in
            let objects = try node.broker.objects(name)
            let queue = mutex == .exclusiveQueue ? objects.line : objects.queue
            if mutex == .token { return try node.broker.raw { try $0.counts(queue)?.consumers ?? 0 } }
            return try await node.broker.consumers(of: queue)
        }
        return subject
    }
}
