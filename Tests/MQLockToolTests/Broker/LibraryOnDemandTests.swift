#if os(Linux)
import Foundation
import MQLock
import Testing

@testable import MQLockTool

/// The command on machines that have no librdkafka, or one that it cannot use. Only Kafka needs it.
@Suite("Library on demand", .timeLimit(.minutes(3))) struct LibraryOnDemandTests {
    enum Machine: String, CaseIterable, Sendable {
        /// The loader looks here first and finds a file that is no library, as it would find none on a machine without it.
        case withoutIt
        /// It loads, and lacks every function that is called.
        case withAnOldOne
    }

    private static let compiler: String? = {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let programs: [String] = folders.flatMap { folder in ["\(folder)/cc", "\(folder)/clang"] }
        return programs.first { access($0, X_OK) == 0 }
    }()

    private func run(_ arguments: [String], on machine: Machine) async throws -> TestProcess.Result {
        let name = "mqlock-library-\(UUID().uuidString)"
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let library = folder.appendingPathComponent("librdkafka.so.1")
        switch machine {
        case .withoutIt: try Data("none".utf8).write(to: library)
        case .withAnOldOne:
            let compiler = try required(Self.compiler)
            let made = try TestProcess(
                compiler, [compiler, "-shared", "-x", "c", "/dev/null", "-o", library.path])
            let result = await made.result()
            guard result.status == 0 else { throw TestFailure("\(compiler): \(result.errors)") }
        }
        return try await TestProcess.run(arguments, environment: ["LD_LIBRARY_PATH": folder.path])
    }

    @Test(
        .enabled(if: compiler != nil, "where there is no C compiler"),
        arguments: Machine.allCases,
        [
            ["run", "job", "--", "true"], ["elect", "job", "--", "true"], ["show", "job"], ["list"], ["doctor"],
            ["shards", "--partitions", "1"],
        ])
    func kafkaSaysWhatToInstall(_ machine: Machine, _ arguments: [String]) async throws {
        var arguments = arguments
        arguments.insert(contentsOf: ["--broker", "kafka://127.0.0.1:1/locks"], at: 1)
        let result = try await run(arguments, on: machine)
        #expect(result.status == ExitStatus.usage, "\(result.output)\(result.errors)")
        // The doctor's findings are its output.
        #expect((result.output + result.errors).contains("librdkafka1"), "\(result.output)\(result.errors)")
    }

    @Test(arguments: [["--version"], ["help"], ["completion", "bash"]])
    func whatNeedsNoBrokerWorks(_ arguments: [String]) async throws {
        let result = try await run(arguments, on: .withoutIt)
        #expect(result.status == 0 && !result.output.isEmpty, "\(result.errors)")
    }

    @Test(.enabled(if: Broker.uri != nil, Broker.reason))
    func rabbitMQNeedsNone() async throws {
        let broker = try required(Broker.uri)
        let result = try await run(
            ["run", "--broker", broker, "on-demand-\(UUID())", "--", "echo", "done"], on: .withoutIt)
        #expect(result.status == 0 && result.output == "done\n", "\(result.errors)")
    }
}
#endif
