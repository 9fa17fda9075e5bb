import MQLock
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
