import MQLock
import Testing

@testable import MQLockTool

@Suite("Command line of show, observe, break")
struct InspectionOptionsTests {
    private func parse(_ line: String) throws -> Invocation {
        try Invocation.parse(line.split(separator: " ").map(String.init))
    }

    private static func options(
        _ seconds: Int, _ change: (inout InspectionOptions) -> Void = { _ in }
    ) -> InspectionOptions {
        var options = InspectionOptions(name: "job", patience: .seconds(seconds))
        change(&options)
        return options
    }

    @Test(
        "what is understood",
        arguments: [
            ("show job", Invocation.show(options(2))),
            ("show --json job -w 1", .show(options(1) { ($0.json, $0.reading) = (true, .seconds(1)) })),
            ("show job --broker amqp://h", .show(options(2) { $0.broker = .uri("amqp://h") })),
            ("observe job", .observe(options(2))),
            ("observe job --json", .observe(options(2) { $0.json = true })),
            ("break job", .breaking(options(5))),
            ("break job --yes", .breaking(options(5) { $0.confirmed = true })),
            (
                "break -y job -w500ms",
                .breaking(
                    options(5) {
                        $0.confirmed = true; $0.patience = .milliseconds(500)
                    })
            ),
            ("break job --management http://h", .breaking(options(5) { $0.management = "http://h" })),
            ("list", .list(ListOptions())),
            (
                "list night* --json -w 1s --management http://h",
                .list(
                    ListOptions(
                        pattern: NamePattern("night*"), patience: .seconds(1), reading: .seconds(1), json: true,
                        management: "http://h"))
            ),
            ("help break", .help(.breaking)),
        ])
    func understood(line: String, expected: Invocation) throws {
        #expect(try parse(line) == expected)
    }

    @Test(
        "what is refused",
        arguments: [
            ("show", "name is needed"), ("show a b", "not also 'b'"), ("show a -- b", "runs no command"),
            ("show a -w 0", DurationText.accepted), ("show a -w x", DurationText.accepted),
            ("show a --yes", "unknown option '--yes'"), ("observe a -w 1", "unknown option '-w'"),
            ("list a b", "quote it"), ("list -- a", "runs no command"), ("list -w 0", DurationText.accepted),
            ("break a --yse", "did you mean '--yes'"), ("breka a", "did you mean 'break'"),
            ("break \(String(repeating: "x", count: 201))", "201 bytes"),
        ])
    func refused(line: String, phrase: String) {
        let error = #expect(throws: CommandFailure.self) { try parse(line) }
        #expect(error?.status == 64)
        #expect(error?.message.contains(phrase) == true, "\(error?.message ?? "")")
    }
}
