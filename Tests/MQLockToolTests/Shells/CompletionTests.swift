import Foundation
import Testing

@testable import MQLockTool

/// What the shells themselves make of the completion scripts, at a terminal.
@Suite("Completion in real shells", .timeLimit(.minutes(2)))
struct CompletionTests {
    /// What is typed, with a tabulator behind it, and the words that mqlock gets then.
    private static let cases = [
        ("el", "elect"), ("--vers", "--version"), ("run --nonb", "run --nonblock"),
        ("run --mutex=ex", "run --mutex=exclusive"), ("run --mutex to", "run --mutex token"),
        ("run --mutex=token --nonb", "run --mutex=token --nonblock"), ("elect -s TER", "elect -s TERM"),
        ("run --once mon", "run --once month"), ("show job --js", "show job --json"),
        ("run --broker-file led", "run --broker-file ledger.fence"),
        ("completion f", "completion fish"), ("help obs", "help observe"),
        ("fence ch", "fence check"), ("fence check led", "fence check ledger.fence"),
        ("fence --name job check led", "fence --name job check ledger.fence"), ("fence show --js", "fence show --json"),
        // Behind -- another command begins: its name, its own completion, and no option of ours.
        ("run job -- mqlock-test-pro", "run job -- mqlock-test-program"),
        ("run -n job -- mqlock-test-program al", "run -n job -- mqlock-test-program alpha"),
        ("elect job -- mqlock-test-program one al", "elect job -- mqlock-test-program one alpha"),
        ("fence check f -- mqlock-test-program al", "fence check f -- mqlock-test-program alpha"),
        ("run job -- mqlock-test-program --nonb", "run job -- mqlock-test-program --nonb"),
    ]

    /// How a shell is started, and what makes it complete mqlock and a program that has one completion, alpha.
    private static func start(_ shell: Completion.Shell) -> (arguments: [String], setup: String) {
        switch shell {
        case .bash:
            (
                ["--norc", "--noprofile", "-i"],
                """
                bind 'set bell-style none'; . ./script
                _alpha() { COMPREPLY=($(compgen -W alpha -- "$2")); }; complete -F _alpha mqlock-test-program
                mqlock() { printf 'G%s<%s>\\n' OT "$*"; }
                """
            )
        case .zsh:
            (
                ["-f", "-i"],
                """
                autoload -Uz compinit; compinit -u -D; . ./script
                _alpha() { compadd alpha }; compdef _alpha mqlock-test-program
                mqlock() { printf 'G%s<%s>\\n' OT "$*" }
                """
            )
        case .fish:
            (
                ["--no-config", "-i"],
                """
                . ./script
                complete -c mqlock-test-program -f -a alpha
                function mqlock; printf 'G%s<%s>\\n' OT "$argv"; end
                """
            )
        }
    }

    @Test(
        "a tabulator makes of a beginning what is meant",
        .enabled(
            if: Completion.Shell.allCases.allSatisfy { ProgramPath.first($0.rawValue) != nil },
            "bash, zsh and fish are not all there (brokers/install --tests)"),
        arguments: Completion.Shell.allCases)
    func completes(shell: Completion.Shell) async throws { try await expectCompletion(shell) }

    private static let library = "/usr/share/bash-completion/bash_completion"

    @Test(
        "the same in bash with the package bash-completion",
        .enabled(if: FileManager.default.fileExists(atPath: library), "no package bash-completion"))
    func completesWithLibrary() async throws { try await expectCompletion(.bash, first: ". \(Self.library)\n") }

    /// - Parameter first: what the shell reads before all else.
    private func expectCompletion(_ shell: Completion.Shell, first: String = "") async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString)")
        let programs = folder.appendingPathComponent("programs")
        try FileManager.default.createDirectory(at: programs, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try "#!/bin/sh\n".write(
            to: programs.appendingPathComponent("mqlock-test-program"), atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755], ofItemAtPath: programs.appendingPathComponent("mqlock-test-program").path)
        try "".write(to: folder.appendingPathComponent("ledger.fence"), atomically: true, encoding: .utf8)
        try Completion.script(for: shell).write(
            to: folder.appendingPathComponent("script"), atomically: true, encoding: .utf8)

        let (arguments, setup) = Self.start(shell)
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let terminal = try Terminal(
            try required(ProgramPath.first(shell.rawValue)), arguments,
            environment: [
                "HOME": folder.path, "PATH": "\(programs.path):\(path)", "TERM": "vt100", "LC_ALL": "C.UTF-8",
                "XDG_CONFIG_HOME": folder.path, "XDG_DATA_HOME": folder.path,
            ], folder: folder.path)
        try (first + setup).write(to: folder.appendingPathComponent("setup"), atomically: true, encoding: .utf8)
        try terminal.enter(". ./setup\r")
        for (typed, words) in Self.cases {
            try terminal.enter("mqlock \(typed)\t\r")
            _ = try await terminal.text(upTo: "GOT<")
            #expect(try await terminal.text(upTo: ">") == words)
        }
    }
}
