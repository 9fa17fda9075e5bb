import Foundation
import Testing

@testable import MQLockTool

/// The whole demo, with the command that was built beside the tests.
@Suite("Demo runs", .serialized) struct DemoRunTests {
    static let command = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("mqlock").path

    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command)
        process.arguments = ["demo"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    static let isBuilt = (try? run(["--help"]))?.output.contains("--sabotage") == true
    static let hasBroker = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ"] != nil

    @Test(.enabled(if: isBuilt, "the mqlock beside the tests has no demo; build the package"))
    func sabotageIsFound() throws {
        let (status, output) = try Self.run(["--sabotage"])
        #expect(status == 1)
        #expect(output.contains("VIOLATED"))
        #expect(output.contains("overlap after"))
        #expect(output.contains("SHOWED TWO AT ONCE"))
    }

    @Test(
        .enabled(if: isBuilt, "the mqlock beside the tests has no demo; build the package"),
        .enabled(if: hasBroker, "needs a broker: brokers/with -- swift test"))
    func aRoundIsGood() throws {
        let lock = "demo-test-\(UUID())"
        let (status, output) = try Self.run(["--rounds", "1", "--workers", "3", "--lock", lock])
        #expect(status == 0, "\(output)")
        #expect(output.contains("SIGKILL "))
        #expect(output.contains("SIGSTOP "))
        #expect(output.contains("1 refused"))
        #expect(output.contains("verdict      good"))
    }
}
