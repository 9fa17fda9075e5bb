import MQLock
import Testing

@testable import MQLockRabbitMQ

/// A memory or disk alarm: the broker stops reading from connections that publish.
extension PatientTortureTests.FaultTests {
    @Test(arguments: [Fault.memoryAlarm, .diskAlarm]) func alarm(_ fault: Fault) async throws {
        let node = try await PrivateNode.ofPatience()
        let kind = fault == .memoryAlarm ? "memory" : "disk"
        try await strike(fault, on: node.broker) { stages in
            try await node.broker.during(fault) {
                // Longer than a proof lasts: the holder is not mistaken for a dead one, nor the broker.
                try await stages.each { stage in
                    try await stage.holderKeeps(for: .seconds(3))
                    stage.strike()
                    try await stage.holderReleases()
                    // A new name cannot be seeded; the wait says why.
                    let fresh = try LockName("\(stage.name)/fresh")
                    let refused = Contender(stage.program, fresh, within: .seconds(2))
                    // Nothing is published to hand a lock over.
                    if (try? await stage.waiter.lease(within: .seconds(2))) != nil {
                        try await stage.waiterIsServed("next, during the alarm")
                    }
                    let error = try #require(try await refused.failure(), "\(stage.mutex)")
                    #expect(error.code == .timedOut, "\(stage.mutex): \(error)")
                    #expect(error.message.contains("accepts no messages"), "\(stage.mutex): \(error)")
                    #expect(error.message.contains(kind), "\(stage.mutex): \(error)")
                }
                for stage in stages.all where stage.observation.waiter.isEmpty { stage.strike() }
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

extension PatientTortureTests {
    /// A proof by the queue, where the queue answers nothing.
    @Suite struct QueueProofTests {}
}

extension PatientTortureTests.QueueProofTests {
    /// With `proof=quorum` the queue has to hand a message back: a holder whose queue does not gives up by its own clock,
    /// though its session is as alive as ever. An alarm does not matter, for nothing is published.
    @Test func whatTheQueueDoesNotProveIsLost() async throws {
        let broker = try await PrivateNode.ofPatience().broker
        try await broker.withName { name in
            let locks = try broker.locks("heartbeat=1&proof=quorum", mutex: .singleActiveConsumer)
            let session = try broker.locks("heartbeat=1", mutex: .singleActiveConsumer)
            let (holder, other) = (Contender(locks, name), Contender(session, try LockName("\(name)/other")))
            let lease = try await holder.lease()
            let free = try await other.lease()
            try await broker.during(.diskAlarm) {
                // Longer than one proof lasts.
                try await Task.sleep(for: .seconds(4))
                #expect(lease.isValid)
                #expect(lease.remaining <= .milliseconds(1800), "no further than from the last sending")
            }
            // As one that has lost its majority.
            try await broker.queue(name, "suspend")
            let reason = try #require(try await lease.lossReason(within: .seconds(10)))
            #expect(reason.kind == .proofOverdue)
            #expect(reason.detail.contains("confirmed nothing"), "\(reason)")
            #expect(!lease.isValid)
            #expect(free.isValid, "a session's proof is enough for the other")
            try await broker.queue(name, "resume")
            #expect(try await holder.release()?.code == .lost)
            let again = Contender(locks, name)
            #expect(try await again.lease().fencingToken > lease.fencingToken, "what came late revived nothing")
            #expect(try await again.release() == nil)
            #expect(try await other.release() == nil)
            for provider in [locks, session] { await provider.shutdown() }
            broker.clean([other.name])
        }
    }
}

extension LiveBroker {
    /// Stops and continues the process behind a quorum queue.
    fileprivate func queue(_ name: LockName, _ verb: String) async throws {
        try await ctl("eval", "sys:\(verb)(whereis('%2F_\(objects(name).queue)')).")
    }

    fileprivate func during(_ fault: Fault, _ body: () async throws -> Void) async throws {
        try await raise(fault)
        do { try await body() } catch {
            try await clear(fault)
            throw error
        }
        try await clear(fault)
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
