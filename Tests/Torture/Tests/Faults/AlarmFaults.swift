import MQLock
import MQLockRabbitMQ
import Testing

/// A memory or disk alarm: the broker stops reading from connections that publish.
extension TortureTests.FaultTests {
    @Test(arguments: [Fault.memoryAlarm, .diskAlarm]) func alarm(_ fault: Fault) async throws {
        let node = try await PrivateNode.shared()
        let kind = fault == .memoryAlarm ? "memory" : "disk"
        try await strike(fault, on: node.broker) { stages in
            do {
                try await node.broker.raise(fault)
                // Longer than a proof lasts: the holder is not mistaken for a dead one, nor the broker.
                try await stages.each { stage in
                    try await stage.holderKeeps(for: .seconds(3))
                    stage.strike()
                    try await stage.holderReleases()
                    // A new name cannot be seeded; the wait says why.
                    let fresh = try LockName("\(stage.name)/fresh")
                    let refused = Contender(stage.program, fresh, within: .seconds(2))
                    // A mutex that publishes at a grant has to wait; one that does not need not.
                    if (try? await stage.waiter.lease(within: .seconds(2))) != nil {
                        try await stage.waiterIsServed("next, during the alarm")
                    }
                    let error = try #require(try await refused.failure(), "\(stage.mutex)")
                    #expect(error.code == .timedOut, "\(stage.mutex): \(error)")
                    #expect(error.message.contains("accepts no messages"), "\(stage.mutex): \(error)")
                    #expect(error.message.contains(kind), "\(stage.mutex): \(error)")
                }
                for stage in stages.all where stage.observation.waiter.isEmpty { stage.strike() }
                try await node.broker.clear(fault)
            } catch {
                try await node.broker.clear(fault)
                throw error
            }
            try await stages.each { stage in
                if stage.observation.waiter.isEmpty {
                    try await stage.waiterIsServed("next, as soon as the alarm is over")
                }
                let fresh = try LockName("\(stage.name)/fresh")
                let late = Contender(stage.program, fresh)
                #expect(try await late.lease().isValid, "\(stage.mutex): works after the alarm")
                #expect(try await late.release() == nil)
                stage.broker.clean([fresh])
            }
        }
    }
}

extension TortureTests {
    /// A proof by the queue, where the queue confirms nothing.
    @Suite struct QueueProofTests {}
}

extension TortureTests.QueueProofTests {
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
                try await node.broker.raise(.diskAlarm)
                let reason = try #require(try await lease.lossReason(within: .seconds(10)))
                #expect(reason.kind == .proofOverdue)
                #expect(reason.detail.contains("confirmed nothing"), "\(reason)")
                #expect(!lease.isValid)
                #expect(free.isValid, "a session's proof is enough for the other")
                try await node.broker.clear(.diskAlarm)
            } catch {
                try await node.broker.clear(.diskAlarm)
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
    fileprivate func raise(_ fault: Fault) async throws {
        if fault == .memoryAlarm {
            try await ctl("set_vm_memory_high_watermark", "0.0000001")
        } else {
            try await ctl("set_disk_free_limit", "900000GB")
        }
        try await waitForAlarms { !$0 }
    }

    fileprivate func clear(_ fault: Fault) async throws {
        if fault == .memoryAlarm {
            try await ctl("set_vm_memory_high_watermark", "0.6")
        } else {
            try await ctl("set_disk_free_limit", "50MB")
        }
        try await waitForAlarms { $0 }
    }

    /// Waits until "no alarm is in effect" is as wanted; that a limit was set does not say that it has been looked at.
    private func waitForAlarms(_ wanted: (Bool) -> Bool) async throws {
        try await eventually(within: .seconds(30), "the alarm's change") {
            let none = (try? await ctl("-q", "eval", "rabbit_alarm:get_alarms() =:= [].")) ?? ""
            return wanted(none.contains("true"))
        }
    }
}
