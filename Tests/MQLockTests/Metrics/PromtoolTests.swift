import Foundation
import MQLock
import Testing

/// Prometheus' own opinion. Our reader of the format, which needs nothing, is stricter: see ``PrometheusPage``.
@Suite(.enabled(if: Promtool.path != nil, "no promtool on the PATH (Debian: prometheus); set MQLOCK_PROMTOOL"))
struct PromtoolTests {
    @Test func metricsPassPromtool() throws {
        let metrics = LockMetrics(nameLabel: .classes { $0.string })
        for name in ["a", "quote\"back\\slash\nline", "日本"] as [LockName] {
            metrics.observe(LockEvent(.granted, at: .now, name: name, owner: "o", waited: .milliseconds(3)))
            metrics.observe(
                LockEvent(.lost, at: .now, name: name, owner: "o", held: .seconds(3), reason: LossReason(.forced)))
        }
        metrics.observe(LockEvent(.renewed, at: .now, owner: "o", roundTrip: .milliseconds(1), proven: .seconds(9)))
        metrics.observe(LockEvent(.connected, at: .now, owner: "o"))
        let verdict = try Promtool.run(["check", "metrics"], files: [:], input: metrics.prometheusText())
        #expect(verdict.status == 0 && verdict.output.isEmpty, "\(verdict.output)")
        let bad = try Promtool.run(["check", "metrics"], files: [:], input: "a{ 1\n")
        #expect(bad.status != 0, "promtool does not look")
    }

    @Test func alertRulesPassPromtool() throws {
        let files = ["rules.yml": try ObservingArticle().rules, "test.yml": AlertScenario.text]
        for arguments in [["check", "rules", "rules.yml"], ["test", "rules", "test.yml"]] {
            let verdict = try Promtool.run(arguments, files: files)
            #expect(verdict.status == 0, "\(verdict.output)")
        }
    }
}

enum Promtool {
    static let path: String? = {
        let environment = ProcessInfo.processInfo.environment
        let folders = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/promtool" }
        return ([environment["MQLOCK_PROMTOOL"]].compactMap(\.self) + folders).first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }()

    /// Runs it in a folder with these files; returns its status and all that it wrote.
    static func run(
        _ arguments: [String], files: [String: String], input: String = ""
    ) throws -> (status: Int32, output: String) {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files.merging(["input": input, "output": ""], uniquingKeysWith: { own, _ in own }) {
            try Data(text.utf8).write(to: folder.appendingPathComponent(name))
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path!)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        let output = try FileHandle(forWritingTo: folder.appendingPathComponent("output"))
        process.standardInput = try FileHandle(forReadingFrom: folder.appendingPathComponent("input"))
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        let written = try Data(contentsOf: folder.appendingPathComponent("output"))
        return (process.terminationStatus, String(decoding: written, as: UTF8.self))
    }
}
