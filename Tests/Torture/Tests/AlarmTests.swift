import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

extension TortureTests {
    /// A memory or disk alarm: the broker stops reading from connections that publish. Locks go on.
    @Suite struct AlarmTests {}
}

extension TortureTests.AlarmTests {
    enum Alarm: String, CaseIterable, CustomTestStringConvertible {
        case memory, disk
        var testDescription: String { rawValue }

        func raise(_ broker: LiveBroker) async throws {
            switch self {
            case .memory: try await broker.ctl("set_vm_memory_high_watermark", "0.0000001")
            case .disk: try await broker.ctl("set_disk_free_limit", "900000GB")
            }
            try await broker.waitForAlarms { !$0 }
        }

        func clear(_ broker: LiveBroker) async throws {
            switch self {
            case .memory: try await broker.ctl("set_vm_memory_high_watermark", "0.6")
            case .disk: try await broker.ctl("set_disk_free_limit", "50MB")
            }
            try await broker.waitForAlarms { $0 }
        }
    }

    @Test(arguments: Alarm.allCases) func locksGoOnUnderAnAlarm(_ alarm: Alarm) async throws {
        let node = try await PrivateNode.shared()
        let broker = node.broker
        try await broker.withName { name in
            let (first, second) = (try broker.locks("heartbeat=1"), try broker.locks("heartbeat=1"))
            let holder = Contender(first, name)
            let lease = try await holder.lease()
            let waiter = Contender(second, name)
            try await broker.waitForLine(of: name, 1)
            // The same in classic queues, where a release goes through the dead-letter loop.
            let classic = try (0..<2).map { _ in try broker.locks("heartbeat=1&durability=fast") }
            let classicName = try LockName("\(name)/classic")
            defer { broker.clean([classicName]) }
            let classicHolder = Contender(classic[0], classicName)
            let classicLease = try await classicHolder.lease()
            let classicWaiter = Contender(classic[1], classicName)
            try await broker.waitForLine(of: classicName, 1)
            do {
                try await alarm.raise(broker)
                // Longer than a proof lasts: the holder is not mistaken for a dead one, nor the broker.
                try await Task.sleep(for: .seconds(4))
                #expect(lease.isValid)
                #expect(waiter.outcome.current == nil)

                // Hand-over publishes nothing.
                #expect(try await holder.release() == nil)
                let next = try await waiter.lease(within: .seconds(5))
                #expect(next.fencingToken > lease.fencingToken)
                #expect(try await waiter.release() == nil)
                #expect(try await classicHolder.release() == nil)
                #expect(
                    try await classicWaiter.lease(within: .seconds(5)).fencingToken > classicLease.fencingToken)
                #expect(try await classicWaiter.release() == nil)

                // A new name cannot be seeded; the wait says why.
                try await broker.withName("new") { fresh in
                    let refused = Contender(first, fresh, within: .seconds(4))
                    let error = try #require(try await refused.failure())
                    #expect(error.code == .timedOut)
                    #expect(error.message.contains("accepts no messages"), "\(error)")
                    #expect(error.message.contains(alarm == .memory ? "memory" : "disk"), "\(error)")

                    let patient = Contender(first, fresh)
                    try await alarm.clear(broker)
                    #expect(try await patient.lease().isValid, "works after the alarm has cleared")
                    #expect(try await patient.release() == nil)
                }
            } catch {
                try await alarm.clear(broker)
                throw error
            }
            for locks in [first, second] + classic { await locks.shutdown() }
        }
    }
}

extension TortureTests.AlarmTests {
    /// With `proof=quorum` the queue has to confirm: a holder whose renewals cannot complete gives up by its own clock,
    /// though its session is as alive as ever. (An alarm stops them as a cut in a cluster does.)
    @Test func whatTheQueueDoesNotConfirmIsLost() async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let query = "heartbeat=1&proof=quorum"
            let locks = try node.broker.locks(query, mutex: .singleActiveConsumer)
            let session = try node.broker.locks("heartbeat=1", mutex: .singleActiveConsumer)
            let (holder, other) = (Contender(locks, name), Contender(session, try LockName("\(name)/other")))
            let lease = try await holder.lease()
            let free = try await other.lease()
            // Longer than one completed publish proves: it is renewed.
            try await Task.sleep(for: .seconds(4))
            #expect(lease.isValid)
            #expect(lease.remaining <= .milliseconds(1800), "no further than from the last renewal's sending")
            do {
                try await Alarm.disk.raise(node.broker)
                let reason = try #require(try await lease.lossReason(within: .seconds(10)))
                #expect(reason.kind == .proofOverdue)
                #expect(reason.detail.contains("confirmed nothing"), "\(reason)")
                #expect(!lease.isValid)
                #expect(free.isValid, "a session's proof is enough for the other")
                try await Alarm.disk.clear(node.broker)
            } catch {
                try await Alarm.disk.clear(node.broker)
                throw error
            }
            #expect(try await holder.release()?.code == .lost)
            let again = Contender(locks, name)
            #expect(
                try await again.lease().fencingToken > lease.fencingToken, "what was confirmed late revived nothing")
            #expect(try await again.release() == nil)
            #expect(try await other.release() == nil)
            for provider in [locks, session] { await provider.shutdown() }
            node.broker.clean([other.name])
        }
    }
}

extension LiveBroker {
    /// Waits until "no alarm is in effect" is as wanted; that a limit was set does not say that it has been looked at.
    fileprivate func waitForAlarms(_ wanted: (Bool) -> Bool) async throws {
        try await eventually(within: .seconds(30), "the alarm's change") {
            let none = (try? await ctl("-q", "eval", "rabbit_alarm:get_alarms() =:= [].")) ?? ""
            return wanted(none.contains("true"))
        }
    }
}
