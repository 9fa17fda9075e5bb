import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

/// Three nodes; the holder's program is connected to one, the waiter's to another.
extension TortureTests.FaultTests {
    @Test(.enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1")) func nodeKilled() async throws {
        let nodes = try await PrivateNode.cluster(3)
        try await strike(.nodeKilled, on: nodes[0].broker, .init(holdersNode: nodes[1].broker)) { stages in
            try await Self.outliveYoungQueues()
            stages.strike()
            try await nodes[1].crash()
            try await stages.each { stage in
                try await stage.holderIsNotified()
                // A queue that is not replicated is gone as long as its node is.
                if (try? await stage.waiter.lease(within: .seconds(10))) != nil {
                    try await stage.waiterIsServed("next, by the other nodes")
                }
            }
            try await nodes[1].start()
            try await stages.each { stage in
                if stage.observation.waiter.isEmpty {
                    try await stage.waiterIsServed("next, when the node is back")
                }
            }
        }
    }

    /// Where even exclusion breaks: old and new holder both see themselves, the tokens order them, and the resource's
    /// gate refuses every write of the old one that comes after the new one's first.
    @Test(
        .enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1"),
        arguments: LiveBroker.handsOnDuringACut ? [Fault.clusterCut, .clusterCutPausing] : [.clusterCut])
    func cut(_ fault: Fault) async throws {
        let nodes = try await PrivateNode.cluster(3)
        if fault == .clusterCutPausing {
            for node in nodes {
                try await node.broker.ctl(
                    "eval", "application:set_env(rabbit, cluster_partition_handling, pause_minority).")
            }
        }
        try await strike(fault, on: nodes[0].broker, .init(holdersNode: nodes[1].broker)) { stages in
            try await Self.outliveYoungQueues()
            let writers = try stages.all.map { StaleWriter(try $0.lease) }
            stages.strike()
            try await Self.cut(nodes[1], from: [nodes[0], nodes[2]])
            let overlaps = Locked<[String: Duration]>([:])
            try await stages.each { stage in
                let old = try stage.lease
                let index = try #require(stages.all.firstIndex { $0 === stage })
                guard let next = try? await stage.waiter.lease(within: .seconds(15)) else { return }
                try writers[index].gate.admit(next.fencingToken, for: stage.name)
                // As long as the programs may look at it, up to some seconds.
                try await Task.sleep(for: .seconds(5))
                let end = old.isValid ? ContinuousClock.now : try #require(old.record.endedAt)
                let overlap = next.record.grantedAt.duration(to: end)
                overlaps.withLock { $0[stage.mutex.description] = overlap }
                try stage.noteGrant(
                    next, overlap > .seconds(2) ? "beside the holder: two at once" : "next, maybe moments too early")
                if old.isValid { stage.note { $0.holder = "not notified until the cut healed" } }
            }
            try await Self.heal(nodes, isByItself: fault == .clusterCutPausing)
            try await stages.each { stage in
                let heard = stage.observation.holder
                try await stage.holderIsNotified()
                if !heard.isEmpty { stage.note { ($0.holder, $0.holderKnew) = (heard, nil) } }
                if stage.observation.waiter.isEmpty { try await stage.waiterIsServed("next, when the cut is over") }
            }
            for (stage, writer) in zip(stages.all, writers) {
                let count = writer.stop()
                let overlap = overlaps.withLock { $0[stage.mutex.description] } ?? .zero
                print(
                    """
                    \(fault.rawValue), \(stage.mutex): two at once for \(overlap.readable); of \(count.late) writes of the old holder \
                    after the new one's first, \(count.accepted) were accepted
                    """)
                #expect(count.accepted == 0, "\(stage.mutex)")
                #expect(count.late > 0 || overlap < .seconds(2), "\(stage.mutex): nothing stale was tried")
            }
        }
    }

    /// With `proof=quorum` the holder on the wrong side ends by its own clock: on 3.10.8, which hands the lock on at once, no
    /// sooner than its last renewal lets it, but however long the cut lasts.
    @Test(
        .enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1"),
        .enabled(if: LiveBroker.handsOnDuringACut, "from RabbitMQ 4.3 on a cut is waited out for 60 s"))
    func cutUnderProofByTheQueue() async throws {
        let nodes = try await PrivateNode.cluster(3)
        try await nodes[0].broker.withName { name in
            let holders = try nodes[1].broker.locks("heartbeat=1&proof=quorum", mutex: .singleActiveConsumer)
            let waiters = try nodes[0].broker.locks("heartbeat=1", mutex: .singleActiveConsumer)
            let holder = Contender(holders, name)
            let old = try await holder.lease()
            let waiter = Contender(waiters, name)
            try await Self.outliveYoungQueues()
            let writer = StaleWriter(old)
            try await Self.cut(nodes[1], from: [nodes[0], nodes[2]])
            let next = try await waiter.lease(within: .seconds(15))
            try writer.gate.admit(next.fencingToken, for: name)
            #expect(try await old.lossReason(within: .seconds(10))?.kind == .proofOverdue)
            let overlap = next.record.grantedAt.duration(to: try #require(old.record.endedAt))
            let count = writer.stop()
            print(
                """
                cluster cut apart (ignore), proof=quorum: two at once for \(overlap.readable); of \(count.late) writes of the \
                old holder after the new one's first, \(count.accepted) were accepted
                """)
            #expect(overlap < .seconds(2), "two heartbeats from the sending of the last renewal")
            #expect(count.accepted == 0)
            #expect(next.fencingToken > old.fencingToken)
            try await Self.heal(nodes, isByItself: false)
            #expect(try await waiter.release() == nil)
            #expect(try await holder.release()?.code == .lost)
            for locks in [holders, waiters] { await locks.shutdown() }
        }
    }

    /// No packet passes between the node and the others: their connections are closed, and the cookies with which each
    /// side would make new ones differ. Both sides notice at once, where a real cut takes up to net_ticktime.
    private static func cut(_ node: PrivateNode, from others: [PrivateNode]) async throws {
        let name = try await node.broker.erlangName()
        for other in others { try await other.broker.ctl("eval", "erlang:set_cookie('\(name)', majority).") }
        var names: [String] = []
        for other in others { names.append("'\(try await other.broker.erlangName())'") }
        try await node.broker.ctl(
            "eval",
            """
            [begin erlang:set_cookie(N, minority), erlang:disconnect_node(N) end || N <- [\(names.joined(separator: ", "))]].
            """)
    }

    /// The cookies are right again. Nodes that ignored the cut stay apart until those of one side are restarted.
    private static func heal(_ nodes: [PrivateNode], isByItself: Bool) async throws {
        for node in nodes {
            try await node.broker.ctl(
                "eval",
                """
                {ok, Files} = {ok, rabbit_nodes:all()},
                [begin erlang:set_cookie(N, erlang:get_cookie()), net_adm:ping(N) end || N <- Files, N =/= node()].
                """)
        }
        if !isByItself { try await nodes[1].start() }
    }
}

extension LiveBroker {
    fileprivate func erlangName() async throws -> String {
        try await ctl("-q", "eval", "node().").trimmingCharacters(in: CharacterSet(charactersIn: "'\n "))
    }
}

/// A holder's program that writes to the resource all the time while it sees its lease valid, and never asks the broker.
private final class StaleWriter: Sendable {
    let gate = MemoryFenceGate()
    private let counts = Locked((late: 0, accepted: 0))
    private let isStopped = Locked(false)
    private let ended = DispatchSemaphore(value: 0)

    init(_ lease: Lease) {
        Thread.detachNewThread { [gate, counts, isStopped, ended] in
            while !isStopped.withLock({ $0 }) {
                let highest = (try? gate.highest(for: lease.name)) ?? nil
                let isLate = highest.map { $0 > lease.fencingToken } ?? false
                let isAccepted = lease.isValid && (try? gate.admit(lease.fencingToken, for: lease.name)) != nil
                if isLate, lease.isValid {
                    counts.withLock { ($0.late, $0.accepted) = ($0.late + 1, $0.accepted + (isAccepted ? 1 : 0)) }
                }
                usleep(500)
            }
            ended.signal()
        }
    }

    func stop() -> (late: Int, accepted: Int) {
        isStopped.withLock { $0 = true }
        ended.wait()
        return counts.withLock { $0 }
    }
}

extension LiveBroker {
    /// Up to 4.2 the majority hands on at once what a vanished node's clients hold; a policy for cuts is a setting there.
    fileprivate static let handsOnDuringACut = (shared?.version ?? BrokerVersion(4, 0, 0)) < BrokerVersion(4, 3, 0)
}
