// A page with a file of the project: in the theme that the reader chose in the book, in colours, with a way back.
'use strict';

(function () {
    const styles = {
        light: 'highlight',
        rust: 'highlight',
        coal: 'tomorrow-night',
        navy: 'tomorrow-night',
        ayu: 'ayu-highlight',
    };
    let theme = null;
    try {
        theme = localStorage.getItem('mdbook-theme');
    } catch {
        // then it is the default
    }
    if (!Object.hasOwn(styles, theme)) {
        theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'navy' : 'light';
    }
    document.documentElement.className = 'js ' + theme;
    const style = document.createElement('link');
    style.rel = 'stylesheet';
    style.href = document.currentScript.src.replace(/theme\/code\.js$/, styles[theme] + '.css');
    document.currentScript.before(style);
})();

document.addEventListener('DOMContentLoaded', function () {
    document.querySelectorAll('code').forEach(hljs.highlightBlock);
    if (location.hash) {
        location.replace(location.hash); // the line is a new element
    }
    // Not more than one step: the one to this page. One that begins here goes where the link leads.
    const steps = history.length;
    document.getElementById('back').addEventListener('click', function (event) {
        if (steps > 1) {
            event.preventDefault();
            history.back();
        }
    });
});
