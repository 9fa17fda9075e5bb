import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

extension TortureTests {
    /// The network between a holder and the broker fails without a word: no FIN, no RST.
    @Suite struct NetworkFaultTests {}
}

extension TortureTests.NetworkFaultTests {
    enum Silence: String, CaseIterable, CustomTestStringConvertible {
        case toBroker, toClient, both
        var testDescription: String { rawValue }
    }

    /// The holder gives up before the broker hands over, whichever direction is dead, by its own clock.
    @Test(arguments: Silence.allCases)
    func holderGivesUpBeforeTheHandover(_ silence: Silence) async throws {
        let node = try await PrivateNode.shared()
        var slacks: [Duration] = []
        for _ in 1...(LiveBroker.isFullRun ? 10 : 3) {
            try await node.broker.withName { name in
                let proxy = try FaultyProxy(to: node.port)
                let behind = LiveBroker(uri: "amqp://guest:guest@127.0.0.1:\(proxy.port)", control: nil)
                let (locks, direct) = (try behind.locks("heartbeat=1"), try node.broker.locks("heartbeat=1"))
                let holder = Contender(locks, name)
                let lease = try await holder.lease()
                let watch = ValidityWatch(lease)
                let waiter = Contender(direct, name)
                try await node.broker.waitForLine(of: name, 1)
                // A phase of the proof's cycle that differs from round to round.
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...400)))
                proxy.change { faults in
                    faults.silentToBroker = silence != .toClient
                    faults.silentToClient = silence != .toBroker
                }
                let reason = try await lease.lossReason()
                #expect(reason?.kind == .proofOverdue)
                let next = try await waiter.lease()
                let lastValid = try await watch.lastValid.value()
                let ended = try #require(lease.record.endedAt)
                #expect(ended < next.record.grantedAt, "told before the hand-over")
                #expect(lastValid < next.record.grantedAt, "valid never after the hand-over")
                #expect(next.fencingToken > lease.fencingToken)
                slacks.append(ended.duration(to: next.record.grantedAt))
                proxy.change { ($0.silentToBroker, $0.silentToClient) = (false, false) }
                #expect(try await holder.release()?.code == .lost)
                #expect(try await waiter.release() == nil)
                await locks.shutdown()
                await direct.shutdown()
            }
        }
        print("\(silence) silent: hand-over \(slacks.map(\.readable).joined(separator: ", ")) after the holder's end")
    }

    /// A slow network is no reason to lose a lock.
    @Test func slowNetworkKeepsTheLease() async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let proxy = try FaultyProxy(to: node.port)
            let behind = LiveBroker(uri: "amqp://guest:guest@127.0.0.1:\(proxy.port)", control: nil)
            let log = EventLog()
            let locks = try behind.locks("heartbeat=2", observer: log)
            let holder = Contender(locks, name)
            let lease = try await holder.lease()
            proxy.change { $0.delay = .milliseconds(300) }
            // Twice as long as a proof lasts: it has been renewed over the slow line.
            try await Task.sleep(for: .seconds(8))
            #expect(lease.isValid)
            #expect(log.events.allSatisfy { $0.kind != .lost && $0.kind != .disconnected })
            #expect(try await holder.release() == nil)
            let next = try await locks.acquire(name, within: .seconds(20))
            #expect(next.lease.fencingToken > lease.fencingToken)
            try await next.release()
            await locks.shutdown()
        }
    }

    /// A reset connection: told at once, and the waiter behind the same proxy goes back in line unnoticed.
    @Test func resetConnectionIsToldAtOnceAndWaitersGoBackInLine() async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let proxy = try FaultyProxy(to: node.port)
            let behind = LiveBroker(uri: "amqp://guest:guest@127.0.0.1:\(proxy.port)", control: nil)
            let (first, second) = (try behind.locks("heartbeat=10"), try behind.locks("heartbeat=10"))
            let holder = Contender(first, name)
            let lease = try await holder.lease()
            let waiter = Contender(second, name)
            try await node.broker.waitForLine(of: name, 1)
            proxy.change { $0.cut = true }
            #expect(try await lease.lossReason()?.kind == .connectionClosed)
            let next = try await waiter.lease()
            #expect(next.fencingToken > lease.fencingToken)
            #expect(try await waiter.release() == nil)
            #expect(try await holder.release()?.code == .lost)
            await first.shutdown()
            await second.shutdown()
        }
    }
}

/// Looks at a lease all the time from a thread of its own and keeps the last instant at which it was valid.
private struct ValidityWatch {
    let lastValid = OneShot<ContinuousClock.Instant>()

    init(_ lease: Lease) {
        Thread.detachNewThread { [lastValid] in
            var last = ContinuousClock.now
            while true {
                let before = ContinuousClock.now
                guard lease.isValid else { break }
                last = before
                usleep(200)
            }
            lastValid.fulfil(last)
        }
    }
}
