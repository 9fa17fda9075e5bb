import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

/// The network between a holder and the broker fails.
extension TortureTests.FaultTests {
    private static let behindProxy = Stage.Options(isBehindProxy: true)

    /// No FIN, no RST: the holder gives up by its own clock before the broker hands over, whichever direction is dead.
    @Test func silence() async throws {
        let broker = try await PrivateNode.shared().broker
        try await withThrowingTaskGroup { group in
            for fault in [Fault.silentToBroker, .silentToClient, .vanished] {
                for _ in 1...(LiveBroker.isFullRun ? 10 : 1) {
                    group.addTask { try await Self.silence(fault, broker) }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func silence(_ fault: Fault, _ broker: LiveBroker) async throws {
        try await strike(fault, on: broker, behindProxy, test: "silence()") { stages in
            // A phase of the proof's cycle that differs from run to run.
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...400)))
            let watches = try stages.all.map { ValidityWatch(try $0.lease) }
            stages.strike()
            stages.faults { faults in
                faults.silentToBroker = fault != .silentToClient
                faults.silentToClient = fault != .silentToBroker
            }
            try await stages.each { stage in
                try await stage.holderIsNotified()
                try await stage.waiterIsServed()
            }
            for (stage, watch) in zip(stages.all, watches) {
                guard let lastValid = try await watch.lastValid.value() else { continue }
                let granted = try await stage.waiter.lease().record.grantedAt
                #expect(lastValid < granted, "\(stage.mutex): valid never after the hand-over")
            }
            stages.faults { faults in
                (faults.silentToBroker, faults.silentToClient) = (false, false)
                // What a machine that has come back answers for connections that it knows nothing of.
                faults.cut = fault == .vanished
            }
        }
    }

    /// No reason to lose a lock: for twice as long as a proof lasts it is renewed over the slow line.
    @Test func slow() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.slow, on: node.broker, .init(query: "heartbeat=2", isBehindProxy: true)) { stages in
            stages.faults { $0.delay = .milliseconds(300) }
            try await stages.each { stage in
                try await stage.holderKeeps(for: .seconds(8))
                #expect(stage.events.events.allSatisfy { $0.kind != .disconnected }, "\(stage.mutex)")
                stage.strike()
                try await stage.holderReleases()
                try await stage.waiterIsServed("next, at the release")
            }
        }
    }

    @Test func reset() async throws {
        let node = try await PrivateNode.shared()
        // With this heartbeat nothing but the reset itself can be what tells within the test's patience.
        try await strike(.reset, on: node.broker, .init(query: "heartbeat=60", isBehindProxy: true)) { stages in
            stages.faults { $0.cut = true }
            try await stages.each { stage in
                try await stage.holderIsNotified()
                try await stage.waiterIsServedAtOnce()
            }
        }
    }
}

extension TortureTests.FaultTests {
    /// The reset is there already when the program reads the broker's last words, so what it writes in answer fails: in
    /// the middle of handling them. A program that writes just before it reads hears nothing but the reset, hence the tries.
    @Test func resetRightBehindNotices() async throws {
        let node = try await PrivateNode.shared()
        for mutex in MutexUnderTest.allCases {
            var reasons: Set<LossReason.Kind> = []
            for _ in 1...20 where reasons.isDisjoint(with: [.queueDeleted, .consumerCancelled]) {
                reasons = try await reasonsOfResetBehindNotices(mutex, node)
            }
            print("\(mutex): \(reasons)")
            #expect(
                !reasons.isDisjoint(with: [.queueDeleted, .consumerCancelled]),
                "\(mutex): no notice came before the reset")
        }
    }

    private func reasonsOfResetBehindNotices(
        _ mutex: MutexUnderTest, _ node: PrivateNode
    ) async throws -> Set<LossReason.Kind> {
        let proxy = try FaultyProxy(to: node.port)
        let locks = try node.broker.behind(proxy).locks("heartbeat=60") { mutex.configure(&$0) }
        let run = "test/notices/\(UInt64.random(in: 0 ... .max))"
        let names = try (1...10).map { try LockName("\(run)/\($0)") }
        let held = names.map { Contender(locks, $0) }
        for contender in held { _ = try await contender.lease() }
        proxy.change { $0.silentToClient = true }
        try await node.broker.deleteQueues(with: "/\(run)/")
        proxy.change { ($0.silentToClient, $0.cutsBehindPending) = (false, true) }
        var reasons: Set<LossReason.Kind> = []
        for contender in held {
            reasons.insert(try #require(try await contender.lease().lossReason(), "\(mutex)").kind)
            #expect(try await contender.release()?.code == .lost, "\(mutex)")
            let again = Contender(locks, contender.name)
            #expect(try await again.lease().isValid, "\(mutex)")
            #expect(try await again.release() == nil, "\(mutex)")
        }
        await locks.shutdown()
        node.broker.clean(names)
        return reasons
    }
}

/// Looks at a lease all the time from a thread of its own and keeps the last instant at which it was valid.
private struct ValidityWatch {
    /// Nil if it never was.
    let lastValid = OneShot<ContinuousClock.Instant?>()

    init(_ lease: Lease) {
        Thread.detachNewThread { [lastValid] in
            // Not the instant at which the thread starts: on a busy machine that is seconds from now.
            var last: ContinuousClock.Instant?
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
