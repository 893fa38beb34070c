// OCA's settings. NODE_PATH names the folder of the plugin: see setup/dev/env.sh
module.exports = {
    plugins: [require.resolve("@prettier/plugin-xml")],
    printWidth: 88,
    bracketSpacing: false,
    trailingComma: "es5",
    xmlWhitespaceSensitivity: "preserve",
    proseWrap: "always",
};
