import MQLock
import Testing

@testable import MQLockTool

@Suite("Command line of mqlock fence") struct FenceOptionsTests {
    private static func options(
        _ action: FenceOptions.Action = .check, _ change: (inout FenceOptions) -> Void = { _ in }
    ) -> FenceOptions {
        var options = FenceOptions(action: action, file: "f")
        change(&options)
        return options
    }

    private func parse(_ line: String) throws -> Invocation {
        try Invocation.parse(line.split(separator: " ").map(String.init))
    }

    @Test(
        "what is accepted",
        arguments: [
            ("fence check f", options()),
            ("fence check f --fence 7", options { $0.fence = FencingToken(rawValue: 7) }),
            ("fence --fence=0 check f", options { $0.fence = FencingToken(rawValue: 0) }),
            ("fence check f --name job", options { $0.name = "job" }),
            ("fence check f -E 1 --json", options { ($0.staleStatus, $0.json) = (1, true) }),
            ("fence check f -- true -- --fence x", options { $0.command = ["true", "--", "--fence", "x"] }),
            ("fence check f --lead 1h", options { $0.lead = .seconds(3600) }),
            ("fence check f --lead none", options { $0.lead = nil }),
            ("fence show f --json", options(.show) { $0.json = true }),
        ])
    func accepted(line: String, expected: FenceOptions) throws { #expect(try parse(line) == .fence(expected)) }

    @Test(
        "what is refused",
        arguments: [
            "fence", "fence f", "fence check", "fence show", "fence check f g", "fence chek f", "fence check f --",
            "fence check f --fence", "fence check f --fence=", "fence check f --fence -1", "fence check f --fence 01",
            "fence check f --fence 9223372036854775808", "fence check f --name=", "fence check f -E 256",
            "fence show f --fence 1", "fence show f --name n", "fence show f -E 1", "fence show f --lead 1h",
            "fence check f --lead x", "fence check f --lead=", "fence show f -- true",
            "fence check f --broker amqp://h",
        ])
    func refused(line: String) { #expect(throws: CommandFailure.self) { try parse(line) } }

    @Test("token and name come from the options, else from what mqlock run sets")
    func environment() throws {
        let environment = ["MQLOCK_FENCE": "7", "MQLOCK_NAME": "job"]
        func presented(_ options: FenceOptions, _ environment: [String: String]) throws -> String {
            let (token, name) = try options.presented { environment[$0] }
            return "\(token) \(name)"
        }
        let fence = Self.options { $0.fence = FencingToken(rawValue: 9) }
        #expect(try presented(Self.options(), environment) == "7 job")
        #expect(try presented(fence, environment) == "9 job")
        #expect(try presented(Self.options { $0.name = "other" }, environment) == "7 other")
        #expect(try presented(fence, [:]) == "9 \(FenceOptions.unnamed)")
        for bad in ["", "x", "-1", " 7", "7\n", "9223372036854775808"] {
            let error = #expect(throws: CommandFailure.self) { try presented(Self.options(), ["MQLOCK_FENCE": bad]) }
            #expect(error?.status == 64)
        }
        #expect(throws: CommandFailure.self) { try presented(Self.options(), [:]) }
        #expect(throws: CommandFailure.self) { try presented(fence, ["MQLOCK_NAME": ""]) }
    }
}
