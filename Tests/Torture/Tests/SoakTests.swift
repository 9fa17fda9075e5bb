import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// A thousand contenders, fifty names, five minutes, one fault after the other.
    @Suite(.enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1")) struct SoakTests {}
}

extension TortureTests.SoakTests {
    /// Nobody ever holds beside another, numbers grow, no lease is lost while nothing is wrong, and at the end nothing is
    /// left: every lock is free, no message is out, no descriptor or thread of ours remains.
    ///
    /// A fifth of the time nothing is done to the contenders but that all cores are busy; then come the faults; and then
    /// a fifth is calm again. MQLOCK_SOAK_SECONDS is for trials.
    @Test func aThousandContenders() async throws {
        let seconds = ProcessInfo.processInfo.environment["MQLOCK_SOAK_SECONDS"].flatMap { Int($0) } ?? 300
        let seed = TestSeed.next()
        print("soak: \(seconds) s, MQLOCK_SEED=\(seed)")
        var generator = SeededGenerator(seed)
        let node = try await PrivateNode.shared()
        let before = OwnUsage.now
        var soak: Soak? = try Soak(on: node)
        defer { if let soak { node.broker.clean(soak.names) } }
        let contenders = try #require(soak).start()

        let calm = Duration.seconds(seconds) / 5
        // See FirstContactTests: what can go wrong while all meet on names that nobody knew is another test's.
        try await eventually(within: .seconds(60), "every name to be granted some times") { soak?.isWarm ?? true }
        try await Task.sleep(for: .seconds(5))
        let cold = try #require(soak).lost(after: 0)
        let busy = BusyCores()
        try await Task.sleep(for: calm)
        busy.stop()
        let early = try #require(soak).lost(after: cold)
        let end = ContinuousClock.now.advanced(by: calm * 3)
        var struck: [String: Int] = [:]
        while ContinuousClock.now < end {
            let fault = Soak.Fault.allCases.randomElement(using: &generator) ?? .cut
            struck[fault.rawValue, default: 0] += 1
            if let soak { print("soak: \(soak.began.duration(to: .now).readable): \(fault)") }
            try await soak?.strike(fault, using: &generator)
            try await Task.sleep(for: .milliseconds(Int.random(in: 500...3000, using: &generator)))
        }
        // What the last fault has done is over: a proof, a heartbeat's two to three intervals, a reconnect.
        try await Task.sleep(for: .seconds(20))
        let faulty = try #require(soak).lost()
        try await Task.sleep(for: calm)
        let late = try #require(soak).lost(after: faulty) - faulty

        soak?.stop()
        for contender in contenders { await contender.value }
        let (grants, moment) = try #require(soak).verdict()
        print(
            """
            soak: \(contenders.count) contenders, \(grants) grants; faults \(struck.sorted { $0.key < $1.key }); \
            lost under faults: \(faulty - early), by first contacts: \(cold), new holder at most \(moment.readable) before the old one was told; lost without a fault: \(early - cold) with all cores busy, \(late) when calm
            """)
        if let soak { print("soak: grants in each second: \(soak.pace)") }
        #expect(early == cold && late == 0, "leases lost without a fault")
        #expect(faulty > early, "else the faults did nothing")

        await soak?.shutdown()
        try await soak?.everythingIsFree()
        let names = try #require(soak).names
        soak = nil
        node.broker.clean(names)
        try await eventually(within: .seconds(30), every: .milliseconds(50), "our threads and descriptors to be gone") {
            let now = OwnUsage.now
            return now.threads <= before.threads && now.descriptors <= before.descriptors
        }
    }
}

/// What this process has: threads of ours by their names, and descriptors.
private struct OwnUsage {
    let threads: Int
    let descriptors: Int

    static var now: OwnUsage {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        let ours = tasks.count { task in
            ((try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)) ?? "").hasPrefix("mqlock")
        }
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return OwnUsage(threads: ours, descriptors: open)
    }
}

/// A thread for every core that does nothing useful.
private struct BusyCores {
    private let isOn = Locked(true)

    init() {
        for _ in 0..<ProcessInfo.processInfo.activeProcessorCount {
            Thread.detachNewThread { [isOn] in
                var rest: UInt64 = 1
                while isOn.withLock({ $0 }) { for _ in 0..<100_000 { rest = rest &* 6_364_136_223_846_793_005 &+ 1 } }
                withExtendedLifetime(rest) {}
            }
        }
    }

    func stop() { isOn.withLock { $0 = false } }
}
