import Foundation
import MQLock
import Testing

/// What happens to the holder's process.
extension TortureTests.FaultTests {
    /// The figure: 100 ms from the kill of the holder to the grant of a waiter in another process. The best of
    /// three, because the machine may be busy with other things; a poll or a heartbeat on the way would miss all three.
    @Test func holderKilled() async throws {
        try await observeProcesses(.holderKilled, oneAfterTheOther: true) { scene in
            var measured: [Duration] = []
            for _ in 1...3 {
                let waiter = try await scene.waiter()
                let killed = try await scene.holder.killNow()
                try await scene.isServed(waiter, since: killed)
                measured.append(try #require(scene.observation.waiterHeld))
                scene.holder = waiter
            }
            let best = try #require(measured.min())
            #expect(best <= scene.mutex.handOverAfterKill, "\(scene.mutex): \(measured.map(\.readable))")
            scene.observation.waiterHeld = best
            scene.observation.holder = "gone"
        }
    }

    /// A holder that was stopped past its proof knows on its first look that the lock is no longer its own, and the
    /// waiter was not served before that proof had ended.
    @Test func holderStopped() async throws {
        try await observeProcesses(.holderStopped, mode: "spin") { scene in
            _ = try await scene.holder.line("proven")
            let waiter = try await scene.waiter()
            let stopped = Boot.now
            scene.holder.signal(SIGSTOP)
            let granted = try await waiter.line("granted")
            let pause = Boot.now - stopped
            scene.holder.signal(SIGCONT)
            _ = try await scene.holder.line("invalid")
            // A busy machine makes shorter gaps, too.
            let gaps = scene.holder.lines.filter { $0.first == "gap" && Int64($0[1]).map { $0 > pause / 2 } == true }
            #expect(gaps.map(\.[2]) == ["false"], "\(scene.mutex): the first look after SIGCONT")
            let proven = scene.holder.lines.filter { $0.first == "proven" }.compactMap { Int64($0[1]) }.max()
            let (provenUntil, next) = (try #require(proven), try #require(Int64(granted[2])))
            #expect(next > provenUntil, "\(scene.mutex): the waiter was served before the stopped holder's proof ended")
            try await scene.isServed(waiter, since: stopped)
            scene.observation.holder = "not valid at its first look"
            scene.observation.holderKnew = .nanoseconds(provenUntil - stopped)
            scene.holder = waiter
        }
    }

    /// It keeps what it holds; cut off it is told as ever, and comes back when there are descriptors again.
    @Test func outOfDescriptors() async throws {
        let node = try await PrivateNode.shared()
        try await observeProcesses(.outOfDescriptors, behind: { try FaultyProxy(to: node.port) }) { scene in
            let waiter = try await scene.waiter()
            scene.holder.tell("exhaust")
            _ = try await scene.holder.line("exhausted")
            try await Task.sleep(for: .seconds(3))
            #expect(!scene.holder.lines.contains { $0.first == "lost" }, "\(scene.mutex)")
            let cut = Boot.now
            scene.proxy?.change { $0.cut = true }
            try await scene.isReported(since: cut, "keeps it, then notified")
            try await scene.isServed(waiter, since: cut, "next, maybe moments too early", early: .seconds(1))
            let before = scene.holder.lines.count
            scene.holder.tell("acquire")
            // Some attempts to connect that cannot work.
            try await Task.sleep(for: .seconds(1))
            waiter.tell("release")
            _ = try await waiter.line("released")
            #expect(!scene.holder.lines.dropFirst(before).contains { $0.first == "granted" }, "\(scene.mutex)")
            scene.holder.tell("recover")
            let again = try await scene.holder.line("granted", after: before)
            #expect(try #require(UInt64(again[1])) > scene.last, "\(scene.mutex)")
        }
    }

    /// By three days its own lock is numbered from the far future to it, which it says loudly instead of going on; others
    /// are none the worse.
    @Test(
        .enabled(if: FakeClock.library != nil, "needs the package libfaketime: brokers/install"),
        arguments: [Fault.clockSetBack, .clockSetBackDays])
    func clock(_ fault: Fault) async throws {
        let seconds = fault == .clockSetBack ? 3600 : 3 * 24 * 3600
        try await observeProcesses(fault, withFakeClock: true) { scene in
            let waiter = try await scene.waiter()
            let before = try await scene.clock()
            try scene.clockFile?.set(offset: -seconds)
            let after = try await scene.clock()
            #expect(after.wall <= before.wall - seconds + 60, "the wall clock was set back")
            #expect(after.boot > before.boot && after.boot < before.boot + 60_000_000_000, "and no other")
            // Longer than a proof lasts.
            try await Task.sleep(for: .seconds(3))
            #expect(!scene.holder.lines.contains { $0.first == "lost" }, "\(scene.mutex)")
            #expect(!waiter.lines.contains { $0.first == "granted" }, "\(scene.mutex)")
            scene.observation.holder = "keeps it"
            let released = Boot.now
            scene.holder.tell("release")
            try await scene.isServed(waiter, since: released, "next, at the release")

            waiter.tell("release")
            _ = try await waiter.line("released")
            let seen = (scene.holder.lines.count, waiter.lines.count)
            scene.holder.tell("acquire")
            var winner = (program: scene.holder, seen: seen.0)
            if fault == .clockSetBackDays {
                let failed = try await scene.holder.line("failed", after: seen.0)
                scene.observation.afterwards = "refused there: \(failed[1])"
                waiter.tell("acquire")
                winner = (waiter, seen.1)
            }
            let again = try await winner.program.line("granted", after: winner.seen)
            #expect(try #require(UInt64(again[1])) > scene.last, "\(scene.mutex)")
        }
    }
}
