import Foundation
import Testing

@testable import MQLockTool

/// The manual page, by the tools that print it.
@Suite("Manual page", .timeLimit(.minutes(1)))
struct ManualPageTests {
    private static func page() async throws -> TestProcess.Result { try await TestProcess.run(["help", "--man"]) }

    /// The page in a file, and what the tool says about it.
    private static func run(_ tool: String, _ arguments: [String]) async throws -> TestProcess.Result {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString).1")
        try await page().output.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let path = try required(ProgramPath.first(tool))
        return await
            (try TestProcess(
                path, [tool] + arguments + [file.path], environment: ["MANWIDTH": "100", "LC_ALL": "C.UTF-8"])).result()
    }

    @Test("groff has nothing to warn of", .enabled(if: ProgramPath.first("groff") != nil, "no groff"))
    func groff() async throws {
        let verdict = try await Self.run("groff", ["-man", "-ww", "-z", "-Tutf8"])
        #expect(verdict.status == 0 && verdict.errors.isEmpty, "\(verdict.errors)")
    }

    @Test("mandoc has nothing to warn of", .enabled(if: ProgramPath.first("mandoc") != nil, "no mandoc"))
    func mandoc() async throws {
        let verdict = try await Self.run("mandoc", ["-Tlint", "-Wwarning"])
        #expect(verdict.status == 0, "\(verdict.output)\(verdict.errors)")
    }

    @Test("man shows all that help shows", .enabled(if: ProgramPath.first("man") != nil, "no man"))
    func whole() async throws {
        let shown = try await Self.run("man", ["--warnings", "-P", "cat", "-l"])
        #expect(shown.status == 0 && shown.errors.isEmpty, "\(shown.errors)")
        // Without overstriking, which some terminals get.
        let words = { (text: String) in text.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        let text = words(shown.output.replacing(/.\u{8}/, with: ""))
        for command in CommandDescriptor.visible {
            #expect(text.contains(words("mqlock \(command.name)\(command.usageTail)")))
            #expect(text.contains(command.summary.dropFirst()))
            for option in command.allOptions {
                let label = option.spellings.reversed().joined(separator: ", ")
                #expect(text.contains(words("\(label) \(option.value.placeholder ?? "")")), "\(label)")
                #expect(text.contains(words(option.summary)), "\(label)")
            }
            for line in command.notes.split(separator: "\n") {
                #expect(text.contains(words(String(line))), "\(command.name)")
            }
        }
        for hidden in CommandDescriptor.all where hidden.isHidden { #expect(!text.contains("mqlock \(hidden.name)")) }
        #expect(text.contains("mqlock \(Mqlock.version)") && text.contains(Mqlock.releaseDate))
    }

    @Test("its examples are command lines that mqlock takes")
    func examples() throws {
        #expect(ManualPage.examples.count > 3)
        for (_, line) in ManualPage.examples {
            // Quotes only stand behind the -- of the command.
            let words = line.split(separator: " ").map(String.init)
            #expect(words.first == "mqlock")
            #expect(throws: Never.self) { try Invocation.parse(Array(words.dropFirst())) }
        }
    }
}
