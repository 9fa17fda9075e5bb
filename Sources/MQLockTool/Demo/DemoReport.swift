import Foundation
import MQLock
import MQLockTesting

/// The report at the end of the demo.
struct DemoReport {
    let verdict: Verdict
    /// Overlaps that the shared file showed.
    let overlaps: [DemoMeeting]

    init(_ events: [History.Event], _ meetings: [DemoMeeting]) {
        // A stopped holder's lock is free for up to three heartbeats. The limit is twice that, for a slow machine.
        verdict = HistoryChecker(maximumFree: DemoWorker.heartbeat * 6).check(events)
        overlaps = DemoMeeting.unexplained(meetings, by: events)
    }

    var exitStatus: Int32 { verdict.isGood && overlaps.isEmpty ? 0 : 1 }

    /// The report for people.
    var text: String {
        ([handOvers, verdict.table(limit: 10)] + [shared]).filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    /// The report as a line of JSON.
    var line: String {
        struct HandOver: Encodable {
            let after, from, to: String
            let fromToken, toToken: UInt64
            let seconds: Double
        }
        struct Violation: Encodable { let kind, name, message: String }
        struct Line: Encodable {
            let verdict: String
            let violations: [Violation]
            let overlapsInFile, grants, refusedWrites: Int
            let handOvers: [HandOver]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = Line(
            verdict: exitStatus == 0 ? "good" : "violated",
            violations: verdict.violations.map {
                Violation(kind: $0.kind.description, name: $0.name, message: $0.message)
            },
            overlapsInFile: overlaps.count, grants: verdict.statistics.grants,
            refusedWrites: verdict.statistics.refusedWrites,
            handOvers: verdict.statistics.handOvers.map {
                HandOver(
                    after: $0.cause.rawValue, from: $0.from, to: $0.to, fromToken: $0.fromToken, toToken: $0.toToken,
                    seconds: $0.gap.seconds)
            })
        return ((try? encoder.encode(line)).map { String(decoding: $0, as: UTF8.self) } ?? "{}") + "\n"
    }

    private var shared: String {
        guard let first = overlaps.first else { return "shared file  never showed two at once" }
        return """
            shared file  SHOWED TWO AT ONCE, \(overlaps.count) times: \(first.process) met \(first.other) \
            (token \(first.token)) first
            """
    }

    private static func words(_ cause: Verdict.HandOver.Cause) -> String {
        switch cause {
        case .released: "release"
        case .lost: "loss"
        case .died: "SIGKILL"
        case .stopped: "SIGSTOP"
        }
    }

    private var handOvers: String {
        let limit = 60
        let all = verdict.statistics.handOvers
        var lines = ["from    to      after    token after token, time to the next grant"]
        for handOver in all.prefix(limit) {
            let time = String(format: "%10.3f s", handOver.gap.seconds)
            lines.append(
                """
                \(Self.padded(Self.process(handOver.from), 8))\(Self.padded(Self.process(handOver.to), 8))\
                \(Self.padded(Self.words(handOver.cause), 8))\(time)   \(handOver.fromToken) -> \(handOver.toToken)
                """)
        }
        if all.count > limit { lines.append("… and \(all.count - limit) more") }
        lines[0] = "\(Self.padded("from", 8))\(Self.padded("to", 8))\(Self.padded("after", 8))        time   tokens"
        return all.isEmpty ? "" : lines.joined(separator: "\n")
    }

    /// Each worker has one contender, so its name adds nothing here.
    private static func process(_ who: String) -> String { String(who.prefix { $0 != "/" }) }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
