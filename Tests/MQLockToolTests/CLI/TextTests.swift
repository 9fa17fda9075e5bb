import Foundation
import MQLock
import Testing

@testable import MQLockTool

@Suite("Durations, help, completion, exit statuses")
struct TextTests {
    @Test(
        "durations",
        arguments: [
            ("500ms", Duration.milliseconds(500)), ("2s", .seconds(2)), ("1.5m", .seconds(90)), ("1h", .seconds(3600)),
            ("0", .zero), ("7", .seconds(7)), ("0.25", .milliseconds(250)), ("1.5ms", .microseconds(1500)),
            ("0.000000001", .nanoseconds(1)), ("0.0000000019", .nanoseconds(1)), ("007s", .seconds(7)),
            ("8784h", .seconds(366 * 24 * 3600)),
        ])
    func durations(text: String, expected: Duration) {
        #expect(DurationText.parse(text) == expected)
    }

    @Test(
        "what is no duration",
        arguments: [
            "", "s", "ms", ".", ".5", "5.", "1.2.3", "-1", "+1", "1 s", " 1", "1e3", "inf", "nan", "0x10", "1d", "1S",
            "1sm", "1h30m", "١s", "9999999999h", "99999999999999999999", "8785h", "1,5s", "nonsense",
        ])
    func noDurations(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test("every option and every command is in the help and in all three completions; the hidden are in none")
    func completeness() {
        let scripts = Completion.Shell.allCases.map(Completion.script(for:))
        for command in CommandDescriptor.visible {
            #expect(HelpText.text(for: nil).contains(command.name))
            let help = HelpText.text(for: command.kind)
            for option in command.allOptions {
                #expect(help.contains(option.label))
                for script in scripts {
                    #expect(script.contains("--\(option.long)") || script.contains(" -l \(option.long) "))
                }
            }
            for script in scripts { #expect(script.contains(command.name)) }
        }
        for hidden in CommandDescriptor.all where hidden.isHidden {
            for text in scripts + [HelpText.text(for: nil)] {
                #expect(!text.contains(hidden.name + " ") && !text.contains(hidden.name + ")"))
            }
        }
        for name in ["torture"] {
            #expect(CommandDescriptor.named(name) == nil)
        }
    }

    @Test("no two options of a command share a name, and no help line is too long to read")
    func table() {
        for command in CommandDescriptor.all {
            let long = command.allOptions.map(\.long)
            let short = command.allOptions.compactMap(\.short)
            #expect(Set(long).count == long.count)
            #expect(Set(short).count == short.count)
            for line in HelpText.text(for: command.kind).split(separator: "\n") { #expect(line.count <= 120) }
        }
    }

    @Test("the bash script is one that bash can read, and it offers what it should")
    func bash() async throws {
        let script =
            Completion.script(for: .bash) + """

                COMP_WORDS=(mqlock run --mu) COMP_CWORD=2; _mqlock; echo "${COMPREPLY[*]}"
                COMP_WORDS=(mqlock completion z) COMP_CWORD=2; _mqlock; echo "${COMPREPLY[*]}"
                COMP_WORDS=(mqlock run -s T) COMP_CWORD=3; _mqlock; echo "${COMPREPLY[*]}"
                """
        let process = try TestProcess("/bin/bash", ["bash", "-c", script])
        let result = await process.result()
        #expect(result.output == "--mutex\nzsh\nTERM TSTP TRAP TTIN TTOU\n")
        #expect(result.errors == "")
    }

    @Test(
        "every error of the library has its exit status",
        arguments: [
            (LockError.Code.timedOut, Int32(9)), (.lost, 123), (.invalidName, 64), (.invalidConfiguration, 64),
            (.unreachable, 69), (.accessRefused, 77), (.incompatible, 78), (.notOwner, 70), (.limitExceeded, 70),
            (.shutDown, 70), (.tokenRegression, 70), (.internalError, 70), (.staleToken, 65),
            (.storageFailed, 74), (.cancelled, 143),
        ])
    func exitStatuses(code: LockError.Code, status: Int32) {
        #expect(ExitStatus.of(LockError(code, ""), conflict: 9, cancelledBy: 15) == status)
    }

    @Test("a JSON line stays one line and one object, with the time")
    func json() {
        var line = JSONLine("a\"b\\c\n\u{1b}\u{2028}é", now: 1_795_000_000_007)
        line.add("number", Int32(-7))
        line.add("none", nil as String?)
        line.add("held", Duration.milliseconds(1007))
        let expected =
            #"{"event":"a\"b\\c\u000a\u001b\u2028é","time":"2026-11-18T11:06:40.007Z","number":-7,"held":1.007}"#
        #expect(line.text == expected + "\n")
        #expect(
            JSONLine.text(of: ["b": "\u{9b}\u{202e}"], now: 1_795_000_000_120)
                == #"{"time":"2026-11-18T11:06:40.120Z","b":"\u009b\u202e"}"# + "\n")
        #expect(JSONLine.stamped("{}\n", now: 0) == #"{"time":"1970-01-01T00:00:00.000Z"}"# + "\n")
    }

    /// C0, C1, DEL, line and paragraph separators, and all that reorders text.
    @Test("nothing that could forge or reorder a line is in any JSON as it is, and nothing is lost by it")
    func jsonOfAllScalars() throws {
        let scalars = (0..<0x11_0000).compactMap { Unicode.Scalar(UInt32($0)) }
        let harmful: (Unicode.Scalar) -> Bool = { scalar in
            [.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
                || scalar.properties.isBidiControl
        }
        // All that is harmful, each between what could take its escape for something else; and a few of the others.
        var text = ""
        for scalar in scalars where harmful(scalar) || scalar.value % 997 == 0 {
            text.unicodeScalars.append(contentsOf: ["\\", "\"", scalar, "u"])
        }
        #expect(text.unicodeScalars.count { harmful($0) } > 70)
        var line = JSONLine(text)
        line.add(text, text)
        for written in [line.text, JSONLine.text(of: ["event": text, text: text])] {
            #expect(written.hasSuffix("\n"))
            #expect(!written.dropLast().unicodeScalars.contains(where: harmful))
            let object = try JSONSerialization.jsonObject(with: Data(written.utf8)) as? [String: Any]
            for key in ["event", text] {
                #expect((object?[key] as? String)?.unicodeScalars.elementsEqual(text.unicodeScalars) == true)
            }
            #expect(object?["time"] is String)
        }
    }

    @Test("the nearest word, or none when nothing is near")
    func suggestions() {
        let words = ["run", "demo", "completion", "help"]
        #expect(Suggestion.nearest(to: "rn", among: words) == "run")
        #expect(Suggestion.nearest(to: "comp", among: words) == "completion")
        #expect(Suggestion.nearest(to: "hepl", among: words) == "help")
        #expect(Suggestion.nearest(to: "RUN", among: words) == "run")
        #expect(Suggestion.nearest(to: "xyzzy", among: words) == nil)
        #expect(Suggestion.nearest(to: "", among: words) == nil)
    }
}
